package main

func childRequested() bool { return false }
func childMain()           {}
