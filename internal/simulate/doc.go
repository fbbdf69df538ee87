// Package simulate invents a believable PowerMTA: mailbox providers, virtual MTAs, campaigns and the life of each
// message, and writes what such a server would log.
//
// A [World] is a discrete-event simulation. It hands out typed [Event] values in time order; writers render them, so that
// several streams can be written from one run and agree with each other: [Accounting] files, the [SystemLog], the
// [HTTPLog] of the web monitor, the [StartupLog], a [Webhook] and a [Pipe]. What goes wrong is a [Scenario] of incidents,
// which [ParseIncident] reads from text. The wording of log lines is PowerMTA's where it is known and ours where not. All
// randomness comes from one seeded generator and all arithmetic that decides anything is integer arithmetic: the same
// options give the same bytes on every platform.
//
// [Run] joins a world to its outputs, either as fast as possible in virtual time or paced by a [Clock].
//
// Everything is harmless to publish: IP addresses are from the documentation ranges (RFC 5737, RFC 3849), senders and
// small recipient domains end in .example, and local parts at real providers carry a random tag so that they belong to
// nobody. Reply texts are our own wording around the providers' real reply codes, enhanced codes and reference codes.
package simulate
