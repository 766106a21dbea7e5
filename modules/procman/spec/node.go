package spec

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// These bound what a file can make this package do.
const (
	maxFileBytes = 1 << 20
	maxLineBytes = 64 << 10 // the parser's time grows with the square
	maxLines     = 30000
	maxKeys      = 5000  // of one map
	maxNesting   = 200   // of brackets; the parser recurses
	maxNodes     = 50000 // with aliases written out
)

type nodeKind uint8

const (
	nullNode nodeKind = iota
	scalarNode
	listNode
	dictNode
)

var nodeKindNames = [...]string{nullNode: "nothing", scalarNode: "a value", listNode: "a list", dictNode: "a map"}

// node is a value of a YAML file with its place. It is what files are merged and decoded from, so that nothing else
// depends on the parser.
type node struct {
	kind    nodeKind
	text    string // of a scalar
	quoted  bool   // the scalar is text, whatever it looks like
	items   []*node
	entries []entry
	at      pos
	size    int // this and all below
}

type entry struct {
	name  string
	at    pos
	value *node
}

// get returns the value of a key, nil if there is none.
func (n *node) get(name string) *node {
	for i := range n.entries {
		if n.entries[i].name == name {
			return n.entries[i].value
		}
	}
	return nil
}

// parseYAML reads a file of one document. What it can't read is in f, and then the node is nil.
func parseYAML(src *source, text []byte, f *faults) *node {
	if err := tooMuch(src, text); err != nil {
		f.list = append(f.list, err)
		return nil
	}
	file, err := parseText(text)
	if err != nil {
		f.list = append(f.list, syntaxError(src, err))
		return nil
	}
	c := &converter{src: src, faults: f, anchors: map[string]*node{}}
	var root *node
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		n := c.node(doc.Body)
		if root != nil {
			f.add(n.at, "", "one file is one document", "there is a second document")
			break
		}
		root = n
	}
	if root == nil {
		root = &node{at: pos{src, 1, 1}, size: 1}
	}
	if len(f.list) > 0 {
		return nil
	}
	return root
}

// tooMuch keeps off the parser what would make it recurse without end.
func tooMuch(src *source, text []byte) *Error {
	if len(text) > maxFileBytes {
		return newError(pos{src, 1, 1}, "", "", fmt.Sprintf("the file is longer than %d bytes", maxFileBytes))
	}
	if len(src.lines) > maxLines {
		return newError(pos{src, maxLines, 1}, "", "", fmt.Sprintf("there are more than %d lines", maxLines))
	}
	depth := 0
	for i, line := range src.lines {
		if len(line) > maxLineBytes {
			return newError(pos{src, i + 1, 1}, "", "", fmt.Sprintf("the line is longer than %d bytes", maxLineBytes))
		}
		if strings.Count(line, "- ")+strings.Count(line, "? ")+strings.Count(line, "!")+strings.Count(line, "&") > maxNesting*4 {
			return newError(pos{src, i + 1, 1}, "", "", "the line holds too many marks")
		}
		for j := range len(line) {
			switch line[j] {
			case '[', '{':
				depth++
			case ']', '}':
				depth = max(0, depth-1)
			}
			if depth > maxNesting {
				return newError(pos{src, i + 1, j + 1}, "", "", fmt.Sprintf("more than %d open brackets", maxNesting))
			}
		}
	}
	return nil
}

// parseText turns a panic of the parser into an error: the text comes from people and agents.
func parseText(text []byte) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			file, err = nil, errors.New("this can't be read as YAML")
		}
	}()
	return parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
}

func syntaxError(src *source, err error) *Error {
	at, message := pos{src, 1, 1}, err.Error()
	var placed interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &placed) {
		message = placed.GetMessage()
		if t := placed.GetToken(); t != nil && t.Position != nil {
			at.line, at.col = max(1, t.Position.Line), max(1, t.Position.Column)
		}
	}
	if i := strings.IndexByte(message, '\n'); i >= 0 {
		message = message[:i]
	}
	hint := ""
	if at.line <= len(src.lines) && strings.Contains(src.lines[at.line-1], "\t") {
		hint = "YAML is indented by spaces, not tabs"
	}
	return newError(at, "", hint, message)
}

// converter turns the parser's tree into nodes.
type converter struct {
	src     *source
	faults  *faults
	anchors map[string]*node
	count   int
}

func (c *converter) place(t *token.Token) pos {
	if t == nil || t.Position == nil {
		return pos{c.src, 1, 1}
	}
	return pos{c.src, max(1, t.Position.Line), max(1, t.Position.Column)}
}

func (c *converter) node(a ast.Node) *node {
	if a == nil {
		return &node{at: pos{c.src, 1, 1}, size: 1}
	}
	n := &node{at: c.place(a.GetToken()), size: 1}
	switch a := a.(type) {
	case *ast.MappingNode:
		n.kind = dictNode
		if len(a.Values) > 0 && !a.IsFlowStyle {
			n.at = c.place(a.Values[0].Key.GetToken())
		}
		for _, v := range a.Values {
			c.entry(n, v)
		}
	case *ast.MappingValueNode:
		n.kind = dictNode
		n.at = c.place(a.Key.GetToken())
		c.entry(n, a)
	case *ast.SequenceNode:
		n.kind = listNode
		for _, v := range a.Values {
			item := c.node(v)
			n.items = append(n.items, item)
			n.size += item.size
		}
	case *ast.AnchorNode:
		v := c.node(a.Value)
		c.anchors[scalarText(a.Name)] = v
		return v
	case *ast.AliasNode:
		name := scalarText(a.Value)
		v := c.anchors[name]
		if v == nil {
			c.faults.add(n.at, "", "", "there is no anchor &%s above", name)
			return n
		}
		n = &node{}
		*n = *v
		n.at = c.place(a.GetToken())
		c.grow(n)
		return n
	case *ast.TagNode:
		v := c.node(a.Value)
		switch tag := a.Start.Value; tag {
		case "!!str":
			if v.kind == nullNode {
				v.kind = scalarNode
			}
			v.quoted = true
		case "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq":
		default:
			c.faults.add(n.at, "", "", "the tag %s isn't known", tag)
		}
		return v
	case *ast.NullNode:
	case *ast.StringNode:
		n.kind, n.text = scalarNode, a.Value
		n.quoted = a.Token.Type == token.SingleQuoteType || a.Token.Type == token.DoubleQuoteType
	case *ast.LiteralNode:
		n.kind, n.quoted = scalarNode, true
		if a.Value != nil {
			n.text = a.Value.Value
		}
	case *ast.CommentNode, *ast.CommentGroupNode:
	case ast.ScalarNode:
		n.kind, n.text = scalarNode, a.GetToken().Value
	default:
		c.faults.add(n.at, "", "", "this isn't a value, a list or a map")
	}
	c.grow(n)
	return n
}

// grow counts a node. Aliases of aliases can make few bytes very many nodes.
func (c *converter) grow(n *node) {
	if n.size > maxNodes {
		n.kind, n.items, n.entries, n.size = nullNode, nil, nil, 1
		c.faults.add(n.at, "", "", "there are more than %d values, with aliases written out", maxNodes)
	}
}

func scalarText(a ast.Node) string {
	if a == nil || a.GetToken() == nil {
		return ""
	}
	return a.GetToken().Value
}

func (c *converter) entry(n *node, v *ast.MappingValueNode) {
	value := c.node(v.Value)
	if v.Value == nil {
		value.at = c.place(v.Key.GetToken())
	}
	n.size += value.size
	if v.Key.IsMergeKey() {
		c.merge(n, value)
		return
	}
	key := c.node(keyNode(v.Key))
	if key.kind != scalarNode {
		c.faults.add(key.at, "", "", "a key has to be text")
		return
	}
	if len(n.entries) == maxKeys {
		c.faults.add(key.at, "", "", "there are more than %d keys in one map", maxKeys)
	}
	if len(n.entries) >= maxKeys {
		return
	}
	for i := range n.entries {
		if e := &n.entries[i]; e.name == key.text {
			if e.at.line < 0 { // was merged in: the written one wins
				*e = entry{key.text, key.at, value}
				return
			}
			c.faults.add(key.at, "", fmt.Sprintf("it is first in line %d", e.at.line), "the key %q is there twice", key.text)
			return
		}
	}
	n.entries = append(n.entries, entry{key.text, key.at, value})
}

func keyNode(k ast.MapKeyNode) ast.Node {
	if k, ok := k.(*ast.MappingKeyNode); ok {
		return k.Value
	}
	return k
}

// merge adds what "<<" brings: keys that aren't there.
func (c *converter) merge(n *node, from *node) {
	switch from.kind {
	case dictNode:
		for _, e := range from.entries {
			if n.get(e.name) == nil {
				e.at.line = -abs(e.at.line)
				n.entries = append(n.entries, e)
			}
		}
	case listNode:
		for _, item := range from.items {
			c.merge(n, item)
		}
	default:
		c.faults.add(from.at, "", "", `"<<" takes a map, not %s`, nodeKindNames[from.kind])
	}
}

func abs(i int) int { return max(i, -i) }
