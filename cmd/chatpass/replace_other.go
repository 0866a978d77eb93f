//go:build !unix

package main

func likeBefore(_, _ string) error { return nil }

func syncDirectory(string) error { return nil }
