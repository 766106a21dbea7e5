package admin

import (
	"encoding/json"
	"errors"
	"net/http"
)

// the cluster is what a request acts on; nil when it was answered that there is none.
func (s *Server) theCluster(w http.ResponseWriter) Cluster {
	c := s.state.Load().cluster
	if c == nil {
		fail(w, &problem{http.StatusServiceUnavailable, "the server isn't ready: " + s.state.Load().why})
	}
	return c
}

// clusterStatus answers with what the leader knows, or with what this server does if none can be reached.
func (s *Server) clusterStatus(w http.ResponseWriter, r *http.Request) {
	c := s.theCluster(w)
	if c == nil {
		return
	}
	if r.URL.Query().Get("local") == "" {
		h := &held{ResponseWriter: w}
		if c.Forward(h, r) && !h.unreachable {
			return
		}
	}
	reply(w, c.Status(r.Context()))
}

// held keeps back the answer that the leader can't be reached: this server's own is better.
type held struct {
	http.ResponseWriter
	unreachable bool
	own         http.Header
}

// Header implements http.ResponseWriter.
func (h *held) Header() http.Header {
	if h.own == nil {
		h.own = http.Header{}
	}
	return h.own
}

// WriteHeader implements http.ResponseWriter.
func (h *held) WriteHeader(status int) {
	if h.unreachable = status == http.StatusBadGateway; h.unreachable {
		return
	}
	for k, v := range h.own {
		h.ResponseWriter.Header()[k] = v
	}
	h.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (h *held) Write(b []byte) (int, error) {
	if h.unreachable {
		return len(b), nil
	}
	return h.ResponseWriter.Write(b)
}

// change does something to the cluster on its leader.
func (s *Server) change(w http.ResponseWriter, r *http.Request, into any, done string, do func(Cluster) error) {
	c := s.theCluster(w)
	if c == nil || c.Forward(w, r) {
		return
	}
	if into != nil {
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(into); err != nil {
			fail(w, errors.Join(ErrInvalid, err))
			return
		}
	}
	if err := do(c); err != nil {
		fail(w, err)
		return
	}
	s.o.Logger.Info(done, "member", r.PathValue("name"), "client", r.RemoteAddr)
	reply(w, map[string]string{"done": done})
}

func (s *Server) addNode(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Raft    string `json:"raft"`
		Learner bool   `json:"learner"`
	}
	s.change(w, r, &in, "node added", func(c Cluster) error {
		if in.Raft == "" {
			return &problem{http.StatusBadRequest, "say where the node is: {\"raft\": \"HOST:PORT\"}"}
		}
		return c.Add(r.Context(), r.PathValue("name"), in.Raft, in.Learner)
	})
}

func (s *Server) promoteNode(w http.ResponseWriter, r *http.Request) {
	s.change(w, r, nil, "node promoted", func(c Cluster) error { return c.Promote(r.Context(), r.PathValue("name")) })
}

func (s *Server) removeNode(w http.ResponseWriter, r *http.Request) {
	s.change(w, r, nil, "node removed", func(c Cluster) error { return c.Remove(r.Context(), r.PathValue("name")) })
}

func (s *Server) transfer(w http.ResponseWriter, r *http.Request) {
	var in struct {
		To string `json:"to"`
	}
	s.change(w, r, &in, "leadership transferred", func(c Cluster) error { return c.Transfer(r.Context(), in.To) })
}
