package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/bop-platform/bop/modules/wire/auth"
)

// Users are those of a cluster. Errors that wrap ErrNotFound become 404.
type Users interface {
	Names() []string
	Put(ctx context.Context, e auth.Entry) error
	Remove(ctx context.Context, name string) error
}

// users are what a request acts on; nil when it was answered: there are none now, or the leader has answered.
func (s *Server) users(w http.ResponseWriter, r *http.Request) Users {
	if s.databases(w) == nil {
		return nil
	}
	if c := s.cluster.Load().Cluster; c != nil && c.Forward(w, r) {
		return nil
	}
	return s.state.Load().users
}

func (s *Server) listUsers(w http.ResponseWriter, r *http.Request) {
	if on := s.users(w, r); on != nil {
		reply(w, map[string]any{"users": on.Names()})
	}
}

func (s *Server) putUser(w http.ResponseWriter, r *http.Request) {
	on := s.users(w, r)
	if on == nil {
		return
	}
	line, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		fail(w, err)
		return
	}
	var e auth.Entry
	if err := e.UnmarshalText(line); err != nil || e.Name != r.PathValue("name") {
		fail(w, fmt.Errorf("%w: not the verifiers of user %q", ErrInvalid, r.PathValue("name"))) // not the line: it is a secret
		return
	}
	if err := on.Put(r.Context(), e); err != nil {
		fail(w, err)
		return
	}
	s.o.Logger.Info("user added", "user", e.Name, "client", r.RemoteAddr)
	reply(w, map[string]string{"name": e.Name})
}

func (s *Server) removeUser(w http.ResponseWriter, r *http.Request) {
	on := s.users(w, r)
	if on == nil {
		return
	}
	name := r.PathValue("name")
	if err := on.Remove(r.Context(), name); err != nil {
		fail(w, err)
		return
	}
	s.o.Logger.Info("user removed", "user", name, "client", r.RemoteAddr)
	reply(w, map[string]string{"name": name})
}

// Users lists the cluster's users.
func (c *Client) Users(ctx context.Context) ([]string, error) {
	body, err := c.ask(ctx, http.MethodGet, "/v1/users", nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var out struct{ Users []string }
	return out.Users, json.NewDecoder(body).Decode(&out)
}

// PutUser adds a user to the cluster, or gives one other verifiers. The password itself stays here.
func (c *Client) PutUser(ctx context.Context, e auth.Entry) error {
	line, err := e.MarshalText()
	if err != nil {
		return err
	}
	body, err := c.ask(ctx, http.MethodPut, "/v1/users/"+url.PathEscape(e.Name), bytes.NewReader(line))
	if err != nil {
		return err
	}
	return body.Close()
}

// RemoveUser removes a user of the cluster.
func (c *Client) RemoveUser(ctx context.Context, name string) error {
	body, err := c.ask(ctx, http.MethodDelete, "/v1/users/"+url.PathEscape(name), nil)
	if err != nil {
		return err
	}
	return body.Close()
}
