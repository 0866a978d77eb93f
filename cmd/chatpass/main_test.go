package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"chatpass": main})
}

// TestCommandLine runs the scripts of testdata: what a person types, and what they read.
func TestCommandLine(t *testing.T) {
	testscript.Run(t, scripts("testdata"))
}

func scripts(dir string) testscript.Params {
	return testscript.Params{
		Dir: dir, UpdateScripts: os.Getenv("UPDATE") != "",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"setenv":     setenv,
			"listen":     listenAt,
			"ask":        ask,
			"eventually": eventually,
			"figures":    figures,
		},
	}
}

// setenv is a command of scripts: it gives a variable the content of a file, or what the first group of a
// regular expression matches in it.
func setenv(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[1])
	if len(args) > 2 {
		found := regexp.MustCompile("(?m)" + args[2]).FindStringSubmatch(text)
		if found == nil {
			ts.Fatalf("%s does not match %s", args[1], args[2])
		}
		text = found[1]
	}
	ts.Setenv(args[0], text)
}
