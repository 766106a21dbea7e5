package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

var _ Backups = (*Client)(nil)

func database(name, rest string) string { return "/v1/databases/" + url.PathEscape(name) + rest }

// Snapshot takes a snapshot.
func (c *Client) Snapshot(ctx context.Context, name string, o SnapshotOptions, p Progress) (s Snapshot, err error) {
	err = c.stream(ctx, http.MethodPost, database(name, "/snapshots"), o, p, &s)
	return s, err
}

// Snapshots tells what the bucket has of a database.
func (c *Client) Snapshots(ctx context.Context, name string, all bool) (list Snapshots, err error) {
	path := database(name, "/snapshots")
	if all {
		path += "?all=1"
	}
	err = c.read(ctx, path, &list)
	return list, err
}

// read asks for something in JSON.
func (c *Client) read(ctx context.Context, path string, out any) error {
	body, err := c.ask(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	return json.NewDecoder(body).Decode(out)
}

// Restore writes a version as an SQLite file. After an error w holds a part of it.
func (c *Client) Restore(ctx context.Context, name, to string, begun Begun, w io.Writer, found func(v Version, from int64)) error {
	header := http.Header{}
	if begun.Bytes > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", begun.Bytes))
		header.Set("If-Range", `"`+begun.Version+`"`)
	}
	res, err := c.request(ctx, http.MethodGet, database(name, "/restored?to="+url.QueryEscape(to)), nil, header)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var from int64
	if res.StatusCode == http.StatusPartialContent {
		from = begun.Bytes
	}
	v := Version{Bytes: from + res.ContentLength}
	var e1, e2 error
	size, e3 := strconv.ParseUint(res.Header.Get(headerPageSize), 10, 32)
	v.PageSize = uint32(size)
	var e4 error
	v.Checksum, e4 = strconv.ParseUint(res.Header.Get(headerChecksum), 16, 64)
	v.TXID, e1 = strconv.ParseUint(res.Header.Get(headerTXID), 10, 64)
	v.Time, e2 = time.Parse(time.RFC3339Nano, res.Header.Get(headerTime))
	if err := errors.Join(e1, e2, e3, e4); err != nil {
		return fmt.Errorf("the server doesn't say which version it restores; is it another version of bop? %w", err)
	}
	if found != nil {
		found(v, from)
	}
	if _, err := io.Copy(w, res.Body); err != nil {
		return fmt.Errorf("the server broke the restore off; its log says why: %w", err)
	}
	return nil
}

// RestoreInto makes a new database of a version.
func (c *Client) RestoreInto(ctx context.Context, name, to, into string, p Progress) (v Version, err error) {
	err = c.stream(ctx, http.MethodPost, database(name, "/restore"), restoreInto{to, into}, p, &v)
	return v, err
}

// Verify checks a database or its backup.
func (c *Client) Verify(ctx context.Context, name string, o VerifyOptions, p Progress) (v Verified, err error) {
	err = c.stream(ctx, http.MethodPost, database(name, "/verify"), o, p, &v)
	return v, err
}

// Rekey changes keys.
func (c *Client) Rekey(ctx context.Context, name string, o RekeyOptions, p Progress) (list []RekeyStatus, err error) {
	err = c.stream(ctx, http.MethodPost, rekeyPath(name), o, p, &list)
	return list, err
}

func rekeyPath(name string) string {
	if name == "" {
		return "/v1/rekey"
	}
	return database(name, "/rekey")
}

// RekeyStatus tells how far a change of keys is.
func (c *Client) RekeyStatus(ctx context.Context, name string) ([]RekeyStatus, error) {
	var out struct{ Databases []RekeyStatus }
	err := c.read(ctx, rekeyPath(name), &out)
	return out.Databases, err
}

// ImportLitestream makes a database of a replica that the server can reach.
func (c *Client) ImportLitestream(ctx context.Context, name string, o LitestreamOptions, p Progress) (v Version, err error) {
	err = c.stream(ctx, http.MethodPost, database(name, "/litestream"), o, p, &v)
	return v, err
}
