//go:build !linux

package main

func releaseStartup() {}

func releaseMemory([]byte) {}
