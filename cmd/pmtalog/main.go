// Command pmtalog is the companion tool of the agent: it makes and reads PowerMTA logs without a Collector.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// stdio is what a subcommand reads and writes, so that tests can stand in for the terminal.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// command is one subcommand. run gets the arguments after the name and returns an exit code; it ends cleanly when ctx is
// done, which SIGINT and SIGTERM bring about.
type command struct {
	name, summary string
	run           func(ctx context.Context, args []string, std stdio) int
}

// commands is the table of subcommands: to add one, add a file and a row.
func commands() []command {
	return []command{
		{"coverage", "say which questions accounting files cannot answer, and the configuration that would", runCoverage},
		{"pipe", "take records from PowerMTA's pipe into files that the agent tails", runPipe},
		{"parse", "read accounting files: JSON lines out, a summary at the end", runParse},
		{"demo", "run a simulated PowerMTA and the agent, show what happens", runDemo},
		{"classify", "say what SMTP replies mean and why", runClassify},
		{"unclassified", "list reply templates that no rule fits", runUnclassified},
		{"simulate", "write the logs of a simulated PowerMTA", runSimulate},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, std stdio) int {
	if len(args) == 0 {
		usage(std.err)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		if len(args) > 1 && args[0] == "help" {
			args = []string{args[1], "-h"}
			break
		}
		usage(std.out)
		return exitOK
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(ctx, args[1:], std)
		}
	}
	fmt.Fprintf(std.err, "pmtalog: no subcommand %q\n\n", args[0])
	usage(std.err)
	return exitUsage
}

func usage(w io.Writer) {
	fmt.Fprint(w, "pmtalog makes and reads PowerMTA logs.\n\nUsage: pmtalog SUBCOMMAND [FLAGS] [ARGUMENTS]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-12s %s\n", c.name, c.summary)
	}
	fmt.Fprintf(w, "  %-12s %s\n", "help", "this text, or with a subcommand its flags")
	fmt.Fprint(w, "\nExit codes: 0 done, 1 failed, 2 wrong usage.\n")
}

// newFlags makes a subcommand's flag set; text comes before the list of flags in its help.
func newFlags(name, text string, std stdio) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(std.err)
	f.Usage = func() {
		fmt.Fprint(f.Output(), text, "\nFlags:\n")
		f.PrintDefaults()
	}
	return f
}

// parseFlags parses args; if ok is false the subcommand ends with code. Help that was asked for goes to standard output.
func parseFlags(f *flag.FlagSet, args []string, std stdio) (code int, ok bool) {
	for _, a := range args {
		if a == "--" {
			break
		}
		if a == "-h" || a == "-help" || a == "--help" {
			f.SetOutput(std.out)
		}
	}
	// Flags may stand behind arguments as well: classify "550 ..." --mx HOST.
	var words []string
	for rest := args; ; {
		switch err := f.Parse(rest); {
		case errors.Is(err, flag.ErrHelp):
			return exitOK, false
		case err != nil:
			return exitUsage, false
		}
		used := len(rest) - f.NArg()
		if f.NArg() == 0 || used > 0 && rest[used-1] == "--" {
			words = append(words, f.Args()...)
			break
		}
		words = append(words, f.Arg(0))
		rest = f.Args()[1:]
	}
	_ = f.Parse(append([]string{"--"}, words...)) // cannot fail: no flag is left
	return exitOK, true
}

// fail prints an error of a subcommand and returns code.
func fail(std stdio, code int, subcommand string, err error) int {
	fmt.Fprintf(std.err, "pmtalog %s: %v\n", subcommand, err)
	return code
}
