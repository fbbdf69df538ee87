//go:build !linux

package main

func releaseStartup() {}
