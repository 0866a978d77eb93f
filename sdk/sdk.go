// Package sdk holds the browser SDK as it is shipped: ES modules without dependencies, the same as
// classic scripts, and their source maps. The source is in src, `npm run build` renews dist.
package sdk

import (
	"crypto/sha512"
	"embed"
	"encoding/base64"
	"io/fs"
)

// Version is the SDK's semantic version, as in package.json. Its files never change under that name:
// they may be served as immutable at a path that holds it.
const Version = "0.1.0"

//go:embed dist/*.js dist/*.js.map
var dist embed.FS

// Files returns the scripts: chatpass.js (ES module), chatpass.iife.js (the same as a classic script),
// chatpass-prompt.js and chatpass-prompt.iife.js (prompts for people, optional), and a .map of each.
func Files() fs.FS {
	files, _ := fs.Sub(dist, "dist") // fails on an invalid path only
	return files
}

// A Script is one of the files that pages load.
type Script struct {
	Name string `json:"name"`
	// Integrity is the value of the attribute by which a browser holds the file against what the page's author
	// saw (Subresource Integrity, section 3.5).
	Integrity string `json:"integrity"`
}

// Scripts returns all of them.
func Scripts() []Script {
	var all []Script
	names, _ := fs.Glob(Files(), "*.js") // fails on a bad pattern only
	for _, name := range names {
		content, _ := fs.ReadFile(Files(), name) // embedded
		sum := sha512.Sum384(content)
		all = append(all, Script{name, "sha384-" + base64.StdEncoding.EncodeToString(sum[:])})
	}
	return all
}
