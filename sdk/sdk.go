// Package sdk holds the browser SDK as it is shipped: one ES module without dependencies, the same as
// a classic script, and their source maps. The source is in src, `npm run build` renews dist.
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

// Files returns chatpass.js (ES module), chatpass.iife.js (classic script) and a .map of each.
func Files() fs.FS {
	files, _ := fs.Sub(dist, "dist") // fails on an invalid path only
	return files
}

// Module returns the ES module, which exports create.
func Module() []byte { return file("chatpass.js") }

// Classic returns the classic script, which defines the global Chatpass with create.
func Classic() []byte { return file("chatpass.iife.js") }

// Integrity returns the value of an integrity attribute for a script of that content
// (Subresource Integrity, section 3.5).
func Integrity(content []byte) string {
	sum := sha512.Sum384(content)
	return "sha384-" + base64.StdEncoding.EncodeToString(sum[:])
}

// file reads an embedded file: the build fails without it.
func file(name string) []byte {
	content, _ := dist.ReadFile("dist/" + name)
	return content
}
