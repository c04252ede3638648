package main

func runCommand(o runOptions, args []string) error { return nil }
