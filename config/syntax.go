package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxTokens is the greatest number of words and signs in the file. The parser's time grows with the
// square of a map's length; this many take a second or two.
const maxTokens = 1 << 16

// maxNesting is the greatest depth of lists and maps in the file; its own format needs eight.
const maxNesting = 32

// parse turns the file's text into its one map. It returns nil after noting a fault. Only the subset
// of YAML is accepted in which what stands at a place is what holds there: no anchors, aliases, merge
// keys, tags or directives. So a small file cannot stand for a large one, and every value has one place.
func (r *report) parse(text []byte) *ast.MappingNode {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if !r.checkCharacters(text) {
		return nil
	}
	tokens := joinColons(lexer.Tokenize(string(text)))
	if !r.checkTokens(tokens) {
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // the decoder finds all duplicates
	if err != nil {
		r.faultSyntax(err)
		return nil
	}
	return r.rootOf(file)
}

// checkCharacters refuses what cannot be seen in an editor.
func (r *report) checkCharacters(text []byte) bool {
	line, column := 1, 0
	for len(text) > 0 {
		c, size := utf8.DecodeRune(text)
		text = text[size:]
		column++
		switch {
		case c == '\n':
			line, column = line+1, 0
		case c == utf8.RuneError && size == 1:
			r.faultAt(position{line, column}, "", problem{"is not UTF-8", "save the file as UTF-8"})
			return false
		case unicode.IsControl(c) && c != '\t' && c != '\r':
			r.faultAt(position{line, column}, "", problem{fmt.Sprintf("holds the control character %U", c), "remove it"})
			return false
		}
	}
	return true
}

// checkTokens refuses, before anything is parsed, what is outside the subset or nested too deep.
func (r *report) checkTokens(tokens token.Tokens) bool {
	if len(tokens) > maxTokens {
		r.faultAt(position{1, 1}, "", problem{fmt.Sprintf("has more than %d words and signs", maxTokens), "write less into one file"})
		return false
	}
	var depth nesting
	begun := false
	for _, t := range tokens {
		r.faultAt(tokenPosition(t), "", outside(t, begun))
		begun = begun || t.Type != token.CommentType
		if depth.after(t) > maxNesting {
			r.faultAt(tokenPosition(t), "", problem{fmt.Sprintf("is nested more than %d deep", maxNesting), "write fewer brackets or dashes"})
			break
		}
	}
	return len(r.faults) == 0
}

// joinColons repairs what the scanner splits: inside a flow map it takes every colon for the end of a
// key, but one that is followed by text at once belongs to that text, as in {scopes: [chat:read]}
// (YAML 1.2.2 §7.3.3, goccy/go-yaml issue 832).
func joinColons(tokens token.Tokens) token.Tokens {
	var joined token.Tokens
	for i := 0; i < len(tokens); i++ {
		if i > 0 && i+1 < len(tokens) && isInner(joined[len(joined)-1], tokens[i], tokens[i+1]) {
			text := joined[len(joined)-1]
			text.Type, text.Value = token.StringType, text.Value+":"+tokens[i+1].Value
			text.Origin += ":" + tokens[i+1].Origin
			i++
			continue
		}
		joined.Add(tokens[i])
	}
	return joined
}

// isInner says whether colon stands inside plain text that was split into before and after.
func isInner(before, colon, after *token.Token) bool {
	return colon.Type == token.MappingValueType && isPlain(before) && isPlain(after) &&
		after.Position.Line == colon.Position.Line && after.Position.Column == colon.Position.Column+1
}

// isPlain says whether t is a scalar without quotes.
func isPlain(t *token.Token) bool {
	return t.CharacterType == token.CharacterTypeMiscellaneous && t.Type != token.CommentType
}

// outside says why a token is not part of the subset. Begun: the document has.
func outside(t *token.Token, begun bool) problem {
	switch t.Type {
	case token.AnchorType:
		return problem{"is an anchor (&)", "write the value itself at every place, or put the text in quotes"}
	case token.AliasType:
		return problem{"is an alias (*)", "write the value itself, or put the text in quotes"}
	case token.MergeKeyType:
		return problem{"is a merge key (<<)", "write the keys themselves"}
	case token.TagType:
		return problem{"is a tag (!)", "remove it, or put the text in quotes"}
	case token.DirectiveType:
		return problem{"is a directive (%)", "remove it, or put the text in quotes"}
	case token.DocumentHeaderType:
		if begun {
			return problem{"starts a second document", "keep one document in the file"}
		}
	}
	return problem{}
}

// nesting counts open brackets, and dashes that follow each other on one line: two ways to nest deep
// in few characters.
type nesting struct{ brackets, dashes, line int }

func (n *nesting) after(t *token.Token) int {
	if t.Position.Line != n.line {
		n.dashes, n.line = 0, t.Position.Line
	}
	switch t.Type {
	case token.SequenceStartType, token.MappingStartType:
		n.brackets++
	case token.SequenceEndType, token.MappingEndType:
		n.brackets--
	case token.SequenceEntryType, token.MappingKeyType:
		n.dashes++
	}
	return n.brackets + n.dashes
}

func (r *report) faultSyntax(err error) {
	broken, ok := errors.AsType[yaml.Error](err)
	if !ok || broken.GetToken() == nil {
		r.faultAt(position{1, 1}, "", problem{"is not YAML", "check indentation, colons and quotes"})
		return
	}
	// The message alone: the error's text would repeat lines of the file.
	r.faultAt(tokenPosition(broken.GetToken()), "", problem{
		"is not YAML: " + broken.GetMessage(), "check indentation, colons and quotes here and in the line before",
	})
}

func (r *report) rootOf(file *ast.File) *ast.MappingNode {
	const remedy = "start with issuer, store, master_key, issuers and apps"
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		r.faultAt(position{1, 1}, "", problem{"is empty", remedy})
		return nil
	}
	if len(file.Docs) > 1 {
		r.faultAt(start(file.Docs[1].Body, nil), "", problem{"starts a second document", "keep one document in the file"})
		return nil
	}
	root, ok := file.Docs[0].Body.(*ast.MappingNode)
	if !ok {
		r.faultAt(start(file.Docs[0].Body, nil), "", problem{"holds no keys", remedy})
		return nil
	}
	return root
}

// start returns where a node's first character stands: of a text the first after its quote, of a block
// the first of its first line.
func start(n ast.Node, lines []string) position {
	switch n := n.(type) {
	case nil:
		return position{1, 1}
	case *ast.LiteralNode:
		return blockStart(tokenPosition(n.Start), lines)
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return tokenPosition(n.Values[0].Key.GetToken())
		}
	}
	at := tokenPosition(n.GetToken())
	if t := n.GetToken().Type; t == token.SingleQuoteType || t == token.DoubleQuoteType {
		at.column++
	}
	return at
}

// blockStart finds the first line after the | or > at, and how far the block is indented.
func blockStart(at position, lines []string) position {
	for i := at.line; i < len(lines); i++ {
		if text := strings.TrimLeft(lines[i], " "); strings.TrimSpace(text) != "" {
			return position{at.line + 1, len(lines[i]) - len(text) + 1}
		}
	}
	return at
}

func tokenPosition(t *token.Token) position {
	if t == nil || t.Position == nil {
		return position{1, 1}
	}
	return position{max(1, t.Position.Line), max(1, t.Position.Column)}
}
