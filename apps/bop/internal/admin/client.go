package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Client talks to a running server's admin API. It implements Databases and Backups.
type Client struct {
	Base  string // "http://127.0.0.1:7070"
	Token string
	HTTP  *http.Client // nil: http.DefaultClient
}

var _ Databases = (*Client)(nil)

// NewClient makes a client from what --http accepts: HOST:PORT or a URL.
func NewClient(addr, token string, h *http.Client) *Client {
	if !strings.Contains(addr, "://") {
		addr = "http://" + addr
	}
	return &Client{Base: strings.TrimSuffix(addr, "/"), Token: token, HTTP: h}
}

// List returns the server's databases.
func (c *Client) List(ctx context.Context) ([]Info, error) {
	var out struct{ Databases []Info }
	body, err := c.do(ctx, http.MethodGet, "", nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return out.Databases, json.NewDecoder(body).Decode(&out)
}

// Create makes an empty database.
func (c *Client) Create(ctx context.Context, name string) error {
	return c.change(ctx, http.MethodPost, "/"+url.PathEscape(name), nil)
}

// Import makes a database from an SQLite file.
func (c *Client) Import(ctx context.Context, name string, r io.Reader) error {
	return c.change(ctx, http.MethodPut, "/"+url.PathEscape(name)+"/content", r)
}

// Export writes a database as an SQLite file. After an error w holds an incomplete file.
func (c *Client) Export(ctx context.Context, name string, w io.Writer) error {
	body, err := c.do(ctx, http.MethodGet, "/"+url.PathEscape(name)+"/content", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := io.Copy(w, body); err != nil {
		return fmt.Errorf("the server broke the export off; its log says why: %w", err)
	}
	return nil
}

func (c *Client) change(ctx context.Context, method, path string, r io.Reader) error {
	body, err := c.do(ctx, method, path, r)
	if err != nil {
		return err
	}
	return body.Close()
}

// Cluster asks for the state of the cluster, as JSON.
func (c *Client) Cluster(ctx context.Context) ([]byte, error) {
	body, err := c.ask(ctx, http.MethodGet, "/v1/cluster", nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(io.LimitReader(body, 16<<20))
}

// Change does something to the cluster: method and path under /v1/cluster, and what to send, as JSON.
func (c *Client) Change(ctx context.Context, method, path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	body, err := c.ask(ctx, method, "/v1/cluster"+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	return body.Close()
}

func (c *Client) do(ctx context.Context, method, path string, r io.Reader) (io.ReadCloser, error) {
	return c.ask(ctx, method, "/v1/databases"+path, r)
}

func (c *Client) ask(ctx context.Context, method, path string, r io.Reader) (io.ReadCloser, error) {
	res, err := c.request(ctx, method, path, r, nil)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// request sends a request; answers that aren't successes are errors.
func (c *Client) request(ctx context.Context, method, path string, r io.Reader, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.Base+path, r)
	if err != nil {
		return nil, err
	}
	if header != nil {
		req.Header = header
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	h := c.HTTP
	if h == nil {
		h = http.DefaultClient
	}
	res, err := h.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no server at %s: start one with bop serve, or name it with --http: %w", c.Base, err)
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	var said struct{ Error string }
	if err := json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(&said); err != nil || said.Error == "" {
		said.Error = res.Status
	}
	return nil, remoteError(res.StatusCode, said.Error)
}

// remoteError keeps the server's words and lets errors.Is see the kind.
func remoteError(status int, words string) error {
	switch status {
	case http.StatusNotFound:
		return &remote{ErrNotFound, words}
	case http.StatusConflict:
		return &remote{ErrExists, words}
	case http.StatusBadRequest:
		return &remote{ErrInvalid, words}
	}
	return errors.New(words)
}

type remote struct {
	kind  error
	words string
}

func (r *remote) Error() string { return r.words }
func (r *remote) Unwrap() error { return r.kind }
