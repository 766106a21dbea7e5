package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/bop-platform/bop/apps/bop/internal/admin"
	"github.com/bop-platform/bop/modules/wire/auth"
)

// memory keeps databases as bytes.
type memory map[string][]byte

func (m memory) List(context.Context) ([]admin.Info, error) {
	var out []admin.Info
	for name, content := range m {
		out = append(out, admin.Info{Name: name, Bytes: int64(len(content))})
	}
	return out, nil
}

func (m memory) Create(ctx context.Context, name string) error {
	return m.Import(ctx, name, strings.NewReader(""))
}

func (m memory) Import(_ context.Context, name string, r io.Reader) error {
	switch _, there := m[name]; {
	case there:
		return admin.ErrExists
	case strings.Contains(name, "/"):
		return admin.ErrInvalid
	case name == "broken":
		return errors.New("the disk is full")
	}
	content, err := io.ReadAll(r)
	m[name] = content
	return err
}

func (m memory) Export(_ context.Context, name string, w io.Writer) error {
	content, there := m[name]
	if !there {
		return admin.ErrNotFound
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	if name == "damaged" {
		return errors.New("a page is damaged")
	}
	return nil
}

// people are users in memory.
type people map[string]auth.Entry

func (p people) Names() []string { return slices.Sorted(maps.Keys(p)) }

func (p people) Put(_ context.Context, e auth.Entry) error {
	p[e.Name] = e
	return nil
}

func (p people) Remove(_ context.Context, name string) error {
	if _, there := p[name]; !there {
		return admin.ErrNotFound
	}
	delete(p, name)
	return nil
}

// serve runs an admin server on loopback.
func serve(t *testing.T, token string) (*admin.Server, string) {
	t.Helper()
	s := admin.New(admin.Options{Metrics: http.NotFoundHandler(), Token: token, Logger: slog.New(slog.DiscardHandler)})
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return s, h.URL
}

func TestRequests(t *testing.T) {
	s, url := serve(t, "")
	s.Ready(memory{"there": []byte("content")}, &vault{}, people{})
	for _, c := range []struct {
		name, method, path string
		header             http.Header
		host               string
		body               io.Reader
		status             int
		says               string
	}{
		{"the list holds what is there", "GET", "/v1/databases", nil, "", nil, 200, `{"databases":[{"name":"there"`},
		{"a database is made", "POST", "/v1/databases/new", nil, "", nil, 200, `{"name":"new"}`},
		{"a name that is taken is a conflict", "POST", "/v1/databases/there", nil, "", nil, 409, "exists"},
		{"a bad name is a bad request", "POST", "/v1/databases/a%2Fb", nil, "", nil, 400, "bad request"},
		{"a name is needed", "POST", "/v1/databases/", nil, "", nil, 404, "no such resource"},
		{"making a database takes no content", "POST", "/v1/databases/large", nil, "", bytes.NewReader(make([]byte, 65<<10)), 413, "PUT"},
		{"other failures are the server's", "POST", "/v1/databases/broken", nil, "", nil, 500, "the disk is full"},
		{"a method that isn't offered is told with those that are", "DELETE", "/v1/databases", nil, "", nil, 405, "GET, HEAD"},
		{"PATCH isn't offered on content", "PATCH", "/v1/databases/there/content", nil, "", nil, 405, "PUT"},
		{"an unknown path is an error of the API", "GET", "/v1/nothing", nil, "", nil, 404, "no such resource: /v1/nothing"},
		{"the root of the API is one too", "GET", "/v1", nil, "", nil, 404, "no such resource: /v1"},
		{"content that isn't there is not found", "GET", "/v1/databases/none/content", nil, "", nil, 404, "no such database"},
		{"a web page of another host is refused", "GET", "/v1/databases", http.Header{"Origin": {"https://evil.example"}}, "", nil, 403, "web pages"},
		{"a host name that leads to loopback is refused", "GET", "/v1/databases", nil, "evil.example", nil, 403, "127.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), c.method, url+c.path, c.body)
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range c.header {
				r.Header[k] = v
			}
			if c.host != "" {
				r.Host = c.host
			}
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != c.status || res.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("%d %s %s %v", res.StatusCode, res.Header, body, err)
			}
			if c.status == http.StatusOK {
				if !strings.Contains(string(body), c.says) {
					t.Errorf("%s", body)
				}
				return
			}
			var said struct{ Error string }
			if err := json.Unmarshal(body, &said); err != nil || !strings.Contains(said.Error, c.says) {
				t.Errorf("%s", body)
			}
		})
	}
}

func TestClient(t *testing.T) {
	s, url := serve(t, "secret")
	ctx := t.Context()
	c := admin.NewClient(url, "secret", nil)
	t.Run("a server that isn't ready says why", func(t *testing.T) {
		if err := c.Create(ctx, "a"); err == nil || err.Error() != "the server isn't ready: starting" {
			t.Error(err)
		}
	})
	s.Ready(memory{"damaged": make([]byte, 1<<20)}, &vault{}, people{})
	t.Run("users come and go, and no password leaves the client", func(t *testing.T) {
		e, err := auth.NewUser("ada/lovelace", "secret")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.PutUser(ctx, e); err != nil {
			t.Fatal(err)
		}
		if names, err := c.Users(ctx); err != nil || len(names) != 1 || names[0] != e.Name {
			t.Errorf("%q, %v", names, err)
		}
		if err := c.RemoveUser(ctx, e.Name); err != nil {
			t.Error(err)
		}
		if err := c.RemoveUser(ctx, e.Name); !errors.Is(err, admin.ErrNotFound) {
			t.Error(err)
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPut, url+"/v1/users/ada", strings.NewReader("bob\tsecret"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer secret")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if b, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusBadRequest || bytes.Contains(b, []byte("secret")) {
			t.Errorf("%d %s, %v", res.StatusCode, b, err)
		}
	})
	t.Run("content comes back as it went", func(t *testing.T) {
		if err := c.Import(ctx, "a", strings.NewReader("content")); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := c.Export(ctx, "a", &out); err != nil || out.String() != "content" {
			t.Errorf("%q, %v", out.String(), err)
		}
	})
	t.Run("errors keep their kind", func(t *testing.T) {
		for _, e := range []struct{ got, want error }{
			{c.Create(ctx, "a"), admin.ErrExists}, {c.Create(ctx, "a/b"), admin.ErrInvalid}, {c.Export(ctx, "none", io.Discard), admin.ErrNotFound},
		} {
			if !errors.Is(e.got, e.want) {
				t.Errorf("%v, want %v", e.got, e.want)
			}
		}
	})
	t.Run("an export that breaks off is no whole file", func(t *testing.T) {
		if err := c.Export(ctx, "damaged", io.Discard); err == nil || !strings.Contains(err.Error(), "broke the export off") {
			t.Error(err)
		}
	})
	t.Run("a token is asked for", func(t *testing.T) {
		for _, token := range []string{"", "wrong"} {
			if _, err := admin.NewClient(url, token, nil).List(ctx); err == nil || !strings.Contains(err.Error(), "--token-file") {
				t.Errorf("%q: %v", token, err)
			}
		}
	})
	t.Run("no server at all is told with what to do", func(t *testing.T) {
		if _, err := admin.NewClient("127.0.0.1:1", "", nil).List(ctx); err == nil || !strings.Contains(err.Error(), "bop serve") {
			t.Error(err)
		}
	})
}
