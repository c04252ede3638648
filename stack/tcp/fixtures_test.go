package tcp_test

import "github.com/sennit-net/sennit/stack/cc"

func reno(c cc.Config) cc.Controller { return cc.NewReno(c) }
