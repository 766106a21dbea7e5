package s3proxy

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"
)

// past is what is known of the bucket, under the proxy's mu.
type past struct {
	lists   map[string][]byte    // the last answer to each list, by its path and query
	known   map[string]bool      // keys that were listed or written
	written map[string]time.Time // when keys were last written
}

func newPast() *past {
	return &past{map[string][]byte{}, map[string]bool{}, map[string]time.Time{}}
}

func (p *past) copy() *past { return &past{lists: maps.Clone(p.lists), known: maps.Clone(p.known)} }

// wrote notes a key that now exists.
func (p *Proxy) wrote(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.past.known[key] = true
	p.past.written[key] = time.Now()
}

var (
	contents = regexp.MustCompile(`(?s)<Contents>.*?</Contents>`)
	keyCount = regexp.MustCompile(`<KeyCount>\d+</KeyCount>`)
)

// list reads a list's answer, remembers it, and puts an old one in its place if a fault says so.
func (x *passage) list(r *http.Request, answer *http.Response) error {
	if answer.StatusCode != http.StatusOK {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxBuffered+1))
	if err == nil && len(text) > maxBuffered {
		err = errors.New("s3proxy: the list is too long")
	}
	if err != nil {
		return err
	}
	show := x.p.stale(x.met, r.URL, text)
	answer.Body.Close()
	answer.Body = io.NopCloser(bytes.NewReader(show))
	answer.ContentLength = int64(len(show))
	answer.Header.Set("Content-Length", strconv.Itoa(len(show)))
	return nil
}

// stale remembers a list's answer and returns the one to show.
func (p *Proxy) stale(met []*Handle, u *url.URL, text []byte) []byte {
	q := u.Query()
	query := u.Path + "?" + q.Encode()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.past.lists[query] = text
	for _, c := range contents.FindAll(text, -1) {
		p.past.known[keyOf(c, q)] = true
	}
	show := text
	for _, h := range met {
		if h.past == nil {
			continue
		}
		if old := h.past.lists[query]; old != nil {
			return old
		}
		left := 0
		show = contents.ReplaceAllFunc(show, func(c []byte) []byte {
			key := keyOf(c, q)
			if !h.past.known[key] && p.past.written[key].After(h.added) {
				return nil
			}
			left++
			return c
		})
		show = keyCount.ReplaceAll(show, []byte("<KeyCount>"+strconv.Itoa(left)+"</KeyCount>"))
	}
	return show
}

// keyOf reads the key of an entry.
func keyOf(c []byte, q url.Values) string {
	var e struct{ Key string }
	if xml.Unmarshal(c, &e) != nil {
		return ""
	}
	if q.Get("encoding-type") == "url" {
		if key, err := url.QueryUnescape(e.Key); err == nil {
			return key
		}
	}
	return e.Key
}
