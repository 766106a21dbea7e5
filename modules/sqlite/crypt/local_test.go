package crypt

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
)

var (
	hexKey    = strings.Repeat("0f", KeyBytes)
	base64Key = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xfb}, KeyBytes)) // has + and /
)

func TestKeyFiles(t *testing.T) {
	for text, names := range map[string]string{
		"a " + hexKey:                                                     "a",
		"a " + strings.ToUpper(hexKey) + "\n":                             "a",
		"a\t" + base64Key + "\r\n\r\n":                                    "a",
		"a " + strings.TrimRight(base64Key, "="):                          "a",
		"a " + strings.NewReplacer("+", "-", "/", "_").Replace(base64Key): "a",
		"# comment\n\n  A.b-c_9  " + hexKey + " # new\nold " + base64Key:  "A.b-c_9 old",
		strings.Repeat("x", 64) + " " + hexKey:                            strings.Repeat("x", 64),
		GenerateKey("a") + GenerateKey("b"):                               "a b",
		"a " + hexKey + "\nb " + hexKey:                                   "a b",
	} {
		l, err := ParseKeys([]byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		all := strings.Fields(names)
		if current, err := l.Current(t.Context()); current != all[0] || err != nil || len(l.keys) != len(all) {
			t.Errorf("%q: current %q, %d keys, %v", text, current, len(l.keys), err)
		}
		for _, name := range all {
			if l.keys[name] == nil {
				t.Errorf("%q: %s isn't there", text, name)
			}
		}
	}
}

func TestTheExampleInTheFormatsIsAKeyFile(t *testing.T) {
	text, err := os.ReadFile("../../../docs/formats/crypt.md")
	if err != nil {
		t.Skip("the module stands alone")
	}
	var example strings.Builder
	for line := range strings.Lines(string(text)) {
		if code, ok := strings.CutPrefix(line, "    "); ok && (strings.HasPrefix(code, "#") || strings.HasPrefix(code, "20")) {
			example.WriteString(code)
		}
	}
	if l := local(t, example.String()); l.current != "2026-07" || len(l.keys) != 2 {
		t.Error(l)
	}
}

func TestTheFormsOfAKeyAreTheSameKey(t *testing.T) {
	key := bytes.Repeat([]byte{0xfb}, KeyBytes)
	forms := []string{hex.EncodeToString(key), base64Key, base64.RawURLEncoding.EncodeToString(key)}
	wrapped, by, err := local(t, "a "+forms[0]).Wrap(t.Context(), []byte("secret"), []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range forms {
		if got, err := local(t, "a "+form).Unwrap(t.Context(), wrapped, []byte("x"), by); err != nil || string(got) != "secret" {
			t.Errorf("%s: %q %v", form, got, err)
		}
	}
}

func TestBadKeyFilesAreRefusedByLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "there is none",
		"# only a comment\n":                   "there is none",
		"\n" + hexKey:                          "line 2: 1 words",
		"a " + hexKey + " x":                   "line 1: 3 words",
		hexKey + " a":                          "line 1: the key's name looks like a key",
		base64Key + " a":                       "line 1: the key's name has other",
		"a " + hexKey[:62]:                     "line 1: the second word",
		"a " + hexKey + "00":                   "line 1: the second word",
		"a " + strings.Repeat("x", 64):         "line 1: the second word",
		"a " + base64Key[:42]:                  "line 1: the second word",
		"a " + base64Key + "=":                 "line 1: the second word",
		"a " + strings.Repeat("A", 42) + "B=":  "line 1: the second word", // bits that belong to no byte
		"a " + base64Key[:42] + "-":            "line 1: the second word",
		"ä " + hexKey:                          "line 1: the key's name has other",
		strings.Repeat("x", 65) + " " + hexKey: "line 1: the key's name has 65",
		"a " + hexKey + "\na " + base64Key:     "line 2: its name was used",
		strings.Repeat("#\n", 1<<20):           "more than",
	} {
		_, err := ParseKeys([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: got %v, want %q", text, err, want)
		}
	}
}

func TestWrapping(t *testing.T) {
	l := local(t, "a "+hexKey+"\nb "+hexKey)
	wrapped, by, err := l.Wrap(t.Context(), []byte("secret"), []byte("where"))
	if err != nil || by != "a" {
		t.Fatal(by, err)
	}
	if again, _, _ := l.Wrap(t.Context(), []byte("secret"), []byte("where")); bytes.Equal(again, wrapped) {
		t.Error("it is wrapped twice the same way")
	}
	if got, err := l.Unwrap(t.Context(), wrapped, []byte("where"), "a"); err != nil || string(got) != "secret" {
		t.Errorf("%q %v", got, err)
	}
	_, err = l.Unwrap(t.Context(), wrapped, []byte("elsewhere"), "a")
	wantError(t, err, ErrWrongKey)
	_, err = l.Unwrap(t.Context(), wrapped, []byte("where"), "b") // the same key by another name
	wantError(t, err, ErrWrongKey)
	_, err = l.Unwrap(t.Context(), wrapped, []byte("where"), "c")
	wantError(t, err, ErrNoKey)
	_, err = l.Unwrap(t.Context(), wrapped[:27], []byte("where"), "a")
	wantError(t, err, ErrDamaged)
	for i, bad := range flipped(wrapped) {
		if _, err := l.Unwrap(t.Context(), bad, []byte("where"), "a"); err == nil {
			t.Errorf("bit %d", i)
		}
	}
	if s := fmt.Sprintf("%v %+v %#v %s", l, l, l, l); strings.Count(s, `2 keys in memory, current "a"`) != 4 {
		t.Error(s)
	}
}

func TestGeneratedKeysDiffer(t *testing.T) {
	if a, b := GenerateKey("a"), GenerateKey("a"); a == b {
		t.Error(a)
	}
	defer func() {
		if recover() == nil {
			t.Error("a bad name was taken")
		}
	}()
	GenerateKey("a b")
}
