package pgwire

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	_ "crypto/sha256" // for certificates
	_ "crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/bop-platform/bop/modules/wire/auth"
	"github.com/bop-platform/bop/modules/wire/handoff"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/session"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// Codes that stand in place of a protocol version in the first message.
const (
	codeCancel = 1234<<16 | 5678
	codeTLS    = 1234<<16 | 5679
	codeGSS    = 1234<<16 | 5680
)

// alpn is the protocol's name in TLS.
const alpn = "postgresql"

// readConsistency is the variable by which a client says at its start that any server may serve it.
const readConsistency = "bop.read_consistency"

// newest is the last minor version of protocol 3 that is served.
const newest = 2

// start lets the client in: TLS, authentication, a session. errGone if it wanted something else.
func (c *client) start(ctx context.Context) error {
	if c.handed != nil {
		return c.resume(ctx)
	}
	if b, err := c.in.first(); err != nil {
		return err
	} else if b == 0x16 { // a TLS handshake without asking first
		if err := c.startTLS(); err != nil {
			return err
		}
	}
	for {
		body, err := c.in.startup()
		if err != nil {
			if errors.Is(err, errFraming) {
				return errGone // not a client of this protocol: nothing that it could read
			}
			return err
		}
		switch code := binary.BigEndian.Uint32(body); code {
		case codeTLS, codeGSS:
			if code == codeGSS || c.s.tls == nil || c.conn != c.raw {
				c.out.buf = append(c.out.buf, 'N')
				if err := c.out.flush(); err != nil {
					return err
				}
				continue
			}
			c.out.buf = append(c.out.buf, 'S')
			if err := c.out.flush(); err != nil {
				return err
			}
			if c.in.buffered() {
				// Somebody in between may have put it there; inside TLS it would look like the client's.
				return sqlerr.New("08P01", "received unencrypted data after SSL request")
			}
			if err := c.startTLS(); err != nil {
				return err
			}
		case codeCancel:
			if !c.cancelOther(body) && c.s.o.Route != nil {
				_, err := c.route(ctx, handoff.Greeting{Protocol: handoff.PostgreSQL, Cancel: true, RemoteAddr: c.raw.RemoteAddr()}, body)
				if err != nil {
					c.s.o.Logger.Debug("a request to cancel was not passed on", "error", err)
				}
			}
			return errGone
		default:
			return c.startSession(ctx, code, body)
		}
	}
}

// startTLS does the handshake. What was read already belongs to it.
func (c *client) startTLS() error {
	if c.s.tls == nil {
		return errGone
	}
	var under net.Conn = c.raw
	if c.in.buffered() {
		under = &prefixed{Conn: c.raw, first: bytes.Clone(c.in.buf[c.in.r:c.in.w])}
		c.in.r = c.in.w
	}
	conn := tls.Server(under, c.s.tls)
	if err := conn.Handshake(); err != nil {
		c.s.o.Logger.Debug("a TLS handshake failed", "client", c.raw.RemoteAddr(), "error", err)
		return errGone
	}
	c.use(conn)
	return nil
}

// prefixed is a connection of which the beginning was read already.
type prefixed struct {
	net.Conn
	first []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.first) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

// cancelOther cancels a statement; it reports whether the session is here.
func (c *client) cancelOther(body []byte) bool {
	return len(body) == 12 && c.s.o.Sessions.Cancel(binary.BigEndian.Uint32(body[4:]), binary.BigEndian.Uint32(body[8:]))
}

// resume goes on where the server that accepted the client has left off.
func (c *client) resume(ctx context.Context) error {
	body := c.handed.Start
	if len(body) < 4 {
		return errGone
	}
	code := binary.BigEndian.Uint32(body)
	if code == codeCancel {
		c.cancelOther(body)
		return errGone
	}
	return c.startSession(ctx, code, body)
}

// route passes the client on if another server is to serve it; it reports whether that has happened, and is over.
func (c *client) route(ctx context.Context, g handoff.Greeting, body []byte) (bool, error) {
	return c.s.o.Route.Pass(ctx, handoff.Client{Conn: c.conn, Greeting: g, Patience: c.s.o.StartTimeout, StopBy: c.stopBy, Frame: func() *handoff.Frame {
		return &handoff.Frame{Protocol: handoff.PostgreSQL, TLS: c.conn != c.raw, Remote: c.raw.RemoteAddr().String(), Start: body, Early: c.in.buf[c.in.r:c.in.w]}
	}})
}

// stopBy makes stop what terminate calls; it reports false if that has been called already.
func (c *client) stopBy(stop func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stop = stop
	return c.fatal == nil
}

// secured tells whether the client's connection is under TLS.
func (c *client) secured() bool { return c.conn != c.raw || c.handed != nil && c.handed.TLS }

// startSession reads the startup message, whose first four bytes are version, and opens the session.
func (c *client) startSession(ctx context.Context, version uint32, message []byte) error {
	body := message[4:]
	if major := version >> 16; major != 3 {
		return sqlerr.New("0A000", "unsupported frontend protocol %d.%d: server supports 3.0 to 3.%d", major, version&0xffff, newest)
	}
	params, options, err := startupParams(body)
	if err != nil {
		return err
	}
	vars, err := commandLine(params["options"])
	if err != nil {
		return err
	}
	user, database := params["user"], params["database"]
	if user == "" {
		return sqlerr.New("28000", "no PostgreSQL user name specified in startup packet")
	}
	if database == "" {
		database = user
	}
	if c.crowded {
		return sqlerr.New("53300", "sorry, too many clients already").WithHint("The server serves at most %d connections.", c.s.o.MaxConns)
	}
	if c.s.o.RequireTLS && !c.secured() {
		return sqlerr.New("28000", "connections without TLS are not accepted").WithHint("Connect with sslmode=require or more.")
	}
	if r := params["replication"]; r != "" && r != "false" && r != "off" && r != "0" {
		return sqlerr.Unsupported("the replication protocol")
	}
	consistency := c.s.o.Sessions.Consistency(ctx, cmp.Or(params[readConsistency], vars[readConsistency]), database)
	reign := c.s.o.Sessions.Reign()
	switch {
	case c.handed != nil:
		if err := c.s.o.Sessions.Admit(ctx, consistency); err != nil {
			return err
		}
	case c.s.o.Route != nil:
		g := handoff.Greeting{Protocol: handoff.PostgreSQL, User: user, Database: database, Consistency: consistency, RemoteAddr: c.raw.RemoteAddr()}
		if passed, err := c.route(ctx, g, message); passed {
			return errGone
		} else if err != nil {
			return sqlerr.New("57P03", "this server can't reach the one that serves writes: %s", err).
				WithHint("Try again in a moment, or connect with options=-c bop.read_consistency=stale to read what this server has.")
		}
	}
	if version&0xffff > newest || len(options) > 0 {
		c.send(&pgproto3.NegotiateProtocolVersion{NewestMinorProtocol: 3<<16 | min(version&0xffff, newest), UnrecognizedOptions: options})
	}
	if err := c.authenticate(user); err != nil {
		return err
	}
	for name, value := range params {
		switch name {
		case "user", "database", "options", "replication":
		default:
			vars[name] = value
		}
	}
	open := false
	c.x, err = c.s.o.Sessions.Open(ctx, session.Config{
		Dialect: ir.Postgres, User: user, Database: database, RemoteAddr: c.raw.RemoteAddr(), Params: vars, Reign: reign,
		Notice: func(e *sqlerr.Error) { c.out.problem('N', e) },
		Changed: func(name, value string) {
			if open {
				c.out.parameter(name, value)
			}
		},
		Notified: c.notify, Terminate: c.terminate,
	})
	if err != nil {
		return err
	}
	open = true
	for _, p := range c.x.Parameters() {
		c.out.parameter(p[0], p[1])
	}
	at := c.out.begin('K')
	c.out.int32(c.x.ID())
	c.out.int32(c.x.Secret())
	c.out.end(at)
	c.out.ready('I')
	c.due = true
	return nil
}

// send sends a message of pgproto3's.
func (c *client) send(m pgproto3.BackendMessage) {
	buf, err := m.Encode(c.out.buf)
	if err != nil {
		c.out.err = err
		return
	}
	c.out.buf = buf
}

// startupParams reads names and values; options are protocol extensions, none of which is known.
func startupParams(body []byte) (params map[string]string, options []string, err error) {
	params = map[string]string{}
	for len(body) > 0 && body[0] != 0 {
		name, rest, ok := bytes.Cut(body, []byte{0})
		value, rest, ok2 := bytes.Cut(rest, []byte{0})
		if !ok || !ok2 {
			return nil, nil, sqlerr.New("08P01", "invalid startup packet layout: expected terminator as last byte")
		}
		if strings.HasPrefix(string(name), "_pq_.") {
			options = append(options, string(name))
		} else {
			params[string(name)] = string(value)
		}
		body = rest
	}
	if len(body) != 1 {
		return nil, nil, sqlerr.New("08P01", "invalid startup packet layout: expected terminator as last byte")
	}
	return params, options, nil
}

// commandLine reads the variables in the option "options": -c name=value and --name=value, with backslashes before
// spaces.
func commandLine(text string) (map[string]string, error) {
	vars := map[string]string{}
	var words []string
	var word strings.Builder
	inside := false
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case b == '\\' && i+1 < len(text):
			i++
			word.WriteByte(text[i])
			inside = true
		case b == ' ' || b == '\t' || b == '\n' || b == '\r':
			if inside {
				words = append(words, word.String())
			}
			word.Reset()
			inside = false
		default:
			word.WriteByte(b)
			inside = true
		}
	}
	if inside {
		words = append(words, word.String())
	}
	for i := 0; i < len(words); i++ {
		set, ok := strings.CutPrefix(words[i], "--")
		if !ok {
			set, ok = strings.CutPrefix(words[i], "-c")
			if ok && set == "" && i+1 < len(words) {
				i++
				set = words[i]
			}
		}
		name, value, eq := strings.Cut(set, "=")
		if !ok || !eq {
			return nil, sqlerr.New("22023", "invalid command-line argument for server process: %s", words[i])
		}
		vars[strings.ReplaceAll(name, "-", "_")] = value
	}
	return vars, nil
}

// authenticate lets the user show who it is.
func (c *client) authenticate(user string) error {
	if c.s.o.Auth == nil {
		c.send(&pgproto3.AuthenticationOk{})
		return nil
	}
	var err error
	if e, ok := c.s.o.Auth.Lookup(user); ok && e.SCRAM.Iterations == 0 && e.MD5 != "" {
		err = c.md5(user)
	} else {
		err = c.scram(user)
	}
	if err == nil {
		c.send(&pgproto3.AuthenticationOk{})
		return nil
	}
	var netErr net.Error
	if errors.Is(err, errGone) || errors.Is(err, errWoken) || errors.Is(err, io.EOF) || errors.As(err, &netErr) {
		return err
	}
	c.s.metrics.authFailed()
	c.s.o.Logger.Info("a client could not show who it is", "protocol", "postgresql", "client", c.raw.RemoteAddr(), "user", user, "error", err)
	var told *sqlerr.Error
	if errors.As(err, &told) {
		return told
	}
	if errors.Is(err, auth.ErrDenied) {
		return sqlerr.New("28P01", `password authentication failed for user "%s"`, user)
	}
	return sqlerr.New("08P01", "%s", err)
}

func (c *client) md5(user string) error {
	m := auth.NewMD5(c.s.o.Auth, user)
	c.send(&pgproto3.AuthenticationMD5Password{Salt: m.Salt})
	answer, err := c.answer()
	if err != nil {
		return err
	}
	return m.Check(string(bytes.TrimSuffix(answer, []byte{0})))
}

// Mechanisms of SASL.
const (
	scram     = "SCRAM-SHA-256"
	scramPlus = "SCRAM-SHA-256-PLUS"
)

func (c *client) scram(user string) error {
	binding := c.binding()
	mechanisms := []string{scram}
	if binding != nil {
		mechanisms = []string{scramPlus, scram}
	}
	exchange := auth.NewSCRAMServer(c.s.o.Auth, user, binding)
	c.send(&pgproto3.AuthenticationSASL{AuthMechanisms: mechanisms})
	answer, err := c.answer()
	if err != nil {
		return err
	}
	var first pgproto3.SASLInitialResponse
	if err := first.Decode(answer); err != nil {
		return sqlerr.New("08P01", "malformed SASL message")
	}
	if first.AuthMechanism != scram && (first.AuthMechanism != scramPlus || binding == nil) {
		return sqlerr.New("08P01", "client selected an invalid SASL authentication mechanism")
	}
	reply, err := exchange.First(first.Data, first.AuthMechanism == scramPlus)
	if err != nil {
		return err
	}
	c.send(&pgproto3.AuthenticationSASLContinue{Data: reply})
	if answer, err = c.answer(); err != nil {
		return err
	}
	if reply, err = exchange.Final(answer); err != nil {
		return err
	}
	c.send(&pgproto3.AuthenticationSASLFinal{Data: reply})
	return nil
}

// answer returns the body of the client's next message, which has to be about its password.
func (c *client) answer() ([]byte, error) {
	if err := c.out.flush(); err != nil {
		return nil, err
	}
	kind, body, err := c.in.next(func(byte) int { return 4 << 10 })
	var long *tooLongError
	switch {
	case errors.As(err, &long), errors.Is(err, errFraming):
		return nil, sqlerr.New("08P01", "invalid password packet size")
	case err != nil:
		return nil, err
	case kind != 'p':
		return nil, fmt.Errorf("expected password response, got message type %d", kind)
	}
	return bytes.Clone(body), nil
}

// binding is what SCRAM binds to: the hash of the certificate, as RFC 5929 says. nil without TLS, or if the
// certificate isn't a fixed one.
func (c *client) binding() []byte {
	conf := c.s.tls
	if c.conn == c.raw || len(conf.Certificates) != 1 || conf.GetCertificate != nil || conf.GetConfigForClient != nil {
		return nil
	}
	der := conf.Certificates[0].Certificate[0]
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	hash := crypto.SHA256
	switch cert.SignatureAlgorithm {
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		hash = crypto.SHA384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		hash = crypto.SHA512
	case x509.PureEd25519, x509.UnknownSignatureAlgorithm:
		return nil // the RFC doesn't say which hash
	}
	h := hash.New()
	h.Write(der)
	return h.Sum(nil)
}
