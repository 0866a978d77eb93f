package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"chatpass": main})
}

// TestCommandLine runs the scripts of testdata: what a person types, and what they read.
func TestCommandLine(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", UpdateScripts: os.Getenv("UPDATE") != "",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"setenv":     func(ts *testscript.TestScript, _ bool, args []string) { ts.Setenv(args[0], ts.ReadFile(args[1])) },
			"listen":     listenAt,
			"ask":        ask,
			"eventually": eventually,
		},
	})
}
