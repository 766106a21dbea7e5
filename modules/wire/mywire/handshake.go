package mywire

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/bop-platform/bop/modules/wire/auth"
	"github.com/bop-platform/bop/modules/wire/catalog"
	"github.com/bop-platform/bop/modules/wire/handoff"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/session"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// ServerVersion is what clients are told.
const ServerVersion = catalog.MySQLVersion + "-BOP"

// login is what a client says of itself.
type login struct {
	caps      uint32
	collation byte
	user      string
	answer    []byte // to the nonce, by plugin
	database  string
	plugin    string
	attrs     map[string]string
}

// parseLogin reads a HandshakeResponse41.
func parseLogin(p []byte) (login, error) {
	r := reader{b: p}
	l := login{caps: r.int32()}
	if l.caps&capProtocol41 == 0 {
		return l, sqlerr.New("08P01", "the client's protocol is too old").My(1043, "Bad handshake")
	}
	r.int32() // the longest packet that the client takes
	l.collation = r.byte()
	r.take(23)
	l.user = r.zero()
	switch {
	case l.caps&capAuthLenenc != 0:
		l.answer = r.bytes()
	case l.caps&capSecure != 0:
		l.answer = r.take(int(r.byte()))
	default:
		l.answer = []byte(r.zero())
	}
	if l.caps&capConnectWithDB != 0 {
		l.database = r.last()
	}
	if l.caps&capPluginAuth != 0 {
		l.plugin = r.last()
	}
	if l.caps&capConnectAttrs != 0 && len(r.b) > 0 {
		l.attrs = parseAttrs(&r)
	}
	if r.bad {
		return l, sqlerr.New("08P01", "malformed handshake").My(1043, "Bad handshake")
	}
	l.answer = given(l.answer)
	return l, nil
}

// given keeps an answer. A single zero byte is how some clients say that there is no password.
func given(answer []byte) []byte {
	if len(answer) == 1 && answer[0] == 0 {
		return nil
	}
	return append([]byte(nil), answer...)
}

// parseAttrs reads what the client tells of its program. Of many attributes only the first are kept.
func parseAttrs(r *reader) map[string]string {
	all := reader{b: r.bytes()}
	attrs := map[string]string{}
	for len(all.b) > 0 && !all.bad {
		k, v := all.bytes(), all.bytes()
		if len(attrs) < 32 && len(k) <= 64 && len(v) <= 512 {
			attrs[string(k)] = string(v)
		}
	}
	r.bad = r.bad || all.bad
	return attrs
}

// start greets the client, lets it in and opens its session.
func (c *client) start(ctx context.Context) error {
	if f := c.handed; f != nil {
		c.id, c.nonce, c.out.seq, c.secured = f.ID, f.Nonce, f.Sequence, f.TLS
	}
	if c.crowded {
		return sqlerr.New("53300", "sorry, too many clients already").My(1040, "Too many connections")
	}
	p, err := c.opening(ctx)
	if err != nil {
		return err
	}
	if c.s.o.RequireTLS && !c.secured {
		return sqlerr.New("28000", "connections without TLS are refused").
			My(3159, "Connections using insecure transport are prohibited while --require_secure_transport=ON.")
	}
	l, err := parseLogin(p)
	if err != nil {
		return err
	}
	c.reign = c.s.o.Sessions.Reign()
	switch {
	case c.handed != nil:
		if err := c.s.o.Sessions.Admit(ctx, c.consistency(ctx, &l)); err != nil {
			return err
		}
	case c.s.o.Route != nil:
		if passed, err := c.route(ctx, &l, p); passed {
			return errGone
		} else if err != nil {
			return sqlerr.New("57P03", "this server can't reach the one that serves writes: %s", err).
				My(1053, "This server can't reach the one that serves writes: %s", err)
		}
	}
	if f := c.handed; f != nil {
		l.caps &= f.Capabilities
		if beyond := l.caps &^ (c.capabilities() | capSSL); beyond != 0 {
			return sqlerr.New("08P01", "the server that greeted the client has capabilities %#x that this one lacks", beyond).
				My(1043, "Bad handshake: the server that greeted the client has capabilities %#x that this one lacks", beyond)
		}
	}
	l.caps &= c.capabilities()
	c.caps = l.caps
	if err := c.authenticate(&l); err != nil {
		return err
	}
	if err := c.begin(ctx, &l); err != nil {
		return err
	}
	c.ok(0, 0, 0, "")
	return nil
}

// opening greets the client and returns its login packet, under TLS if it asks for that.
func (c *client) opening(ctx context.Context) ([]byte, error) {
	if f := c.handed; f != nil {
		if c.s.o.Sessions.Taken(c.id) {
			c.id = c.s.o.Sessions.NewID()
		}
		return f.Start, nil
	}
	c.id = c.s.o.Sessions.NewID()
	c.nonce = auth.NewNonce()
	c.greet()
	if err := c.out.flush(); err != nil {
		return nil, errGone
	}
	p, err := c.answer()
	if err == nil && len(p) == 32 && (&reader{b: p}).int32()&capSSL != 0 {
		return c.secure(ctx)
	}
	return p, err
}

// route passes the client on if another server is to serve it; it reports whether that has happened, and is over.
func (c *client) route(ctx context.Context, l *login, p []byte) (bool, error) {
	g := handoff.Greeting{Protocol: handoff.MySQL, User: l.user, Database: l.database, RemoteAddr: c.raw.RemoteAddr(), Consistency: c.consistency(ctx, l)}
	return c.s.o.Route.Pass(ctx, handoff.Client{Conn: c.conn, Greeting: g, Patience: c.s.o.StartTimeout, StopBy: c.stopBy, Frame: func() *handoff.Frame {
		return &handoff.Frame{Protocol: handoff.MySQL, TLS: c.secured, Remote: c.raw.RemoteAddr().String(), Start: p, Early: c.in.take(),
			ID: c.id, Capabilities: c.capabilities(), Nonce: c.nonce, Sequence: c.out.seq}
	}})
}

// stopBy makes stop what terminate calls; it reports false if that has been called already.
func (c *client) stopBy(stop func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stop = stop
	return c.fatal == nil
}

// consistency is how fresh the client's reads have to be.
func (c *client) consistency(ctx context.Context, l *login) string {
	return c.s.o.Sessions.Consistency(ctx, l.attrs[readConsistency], l.database)
}

// readConsistency is the connection attribute by which a client says that any server may serve it.
const readConsistency = "bop.read_consistency"

func (c *client) capabilities() uint32 {
	if c.s.o.TLS != nil {
		return capabilities | capSSL
	}
	return capabilities
}

// greet sends the server's first packet.
func (c *client) greet() {
	caps := c.capabilities()
	o := &c.out
	at := o.begin()
	o.byte(10)
	o.zero(ServerVersion)
	o.int32(c.id)
	o.buf = append(o.buf, c.nonce[:8]...)
	o.byte(0)
	o.int16(uint16(caps))
	o.byte(types.UTF8MB4Collation)
	o.int16(statusAutocommit)
	o.int16(uint16(caps >> 16))
	o.byte(byte(len(c.nonce) + 1))
	o.buf = append(o.buf, make([]byte, 10)...)
	o.buf = append(o.buf, c.nonce[8:]...)
	o.byte(0)
	o.zero(c.s.plugin())
	o.end(at)
}

// plugin is the method that the greeting names. Where nobody is checked it is the one that every client has built in.
func (s *Server) plugin() string {
	if s.o.Auth == nil {
		return pluginNative
	}
	return pluginCaching
}

// switchTo asks for an answer to a fresh nonce by another method.
func (c *client) switchTo(plugin string) ([]byte, error) {
	c.nonce = auth.NewNonce()
	o := &c.out
	at := o.begin()
	o.byte(0xfe)
	o.zero(plugin)
	o.buf = append(append(o.buf, c.nonce...), 0)
	o.end(at)
	p, err := c.answer()
	return given(p), err
}

// answer flushes and reads the client's next packet of the handshake.
func (c *client) answer() ([]byte, error) {
	if err := c.out.flush(); err != nil {
		return nil, errGone
	}
	const most = 64 << 10 // attributes may be as long
	p, err := c.in.next(&c.out.seq, most, false)
	if long := (*tooLongError)(nil); errors.As(err, &long) {
		return nil, sqlerr.New("08P01", "malformed handshake").My(1043, "Bad handshake")
	}
	return p, err
}

// secure goes on under TLS.
func (c *client) secure(ctx context.Context) ([]byte, error) {
	if c.s.o.TLS == nil {
		return nil, sqlerr.New("08P01", "TLS was not offered").My(1043, "Bad handshake")
	}
	// A client need not wait between its request and its hello. What came with the request is TLS's, never a packet.
	conn := tls.Server(&resumed{Conn: c.raw, first: c.in.take()}, c.s.o.TLS)
	if err := conn.HandshakeContext(ctx); err != nil {
		c.s.o.Logger.Debug("a TLS handshake failed", "client", c.raw.RemoteAddr(), "error", err)
		return nil, errGone
	}
	c.use(conn)
	c.secured = true
	return c.answer()
}

// resumed is a connection of which the first bytes were read already.
type resumed struct {
	net.Conn
	first []byte
}

func (r *resumed) Read(p []byte) (int, error) {
	if len(r.first) > 0 {
		n := copy(p, r.first)
		r.first = r.first[n:]
		return n, nil
	}
	return r.Conn.Read(p)
}

// authenticate checks who the client is. The client's plugin is used if it is one of ours, else it is asked to change to
// caching_sha2_password.
func (c *client) authenticate(l *login) error {
	store := c.s.o.Auth
	if store == nil {
		switch {
		case l.plugin == pluginCaching && len(l.answer) > 0:
			c.moreData(3) // it waits for the outcome of the quick check
		case l.plugin != pluginCaching && l.plugin != pluginNative && l.plugin != "":
			// Whatever the client began with has to come to its end.
			_, err := c.switchTo(pluginNative)
			return err
		}
		return nil
	}
	denied := func(using bool) error {
		c.s.metrics.authFailed()
		word := map[bool]string{false: "NO", true: "YES"}[using]
		return sqlerr.New("28P01", `password authentication failed for user "%s"`, l.user).
			My(1045, "Access denied for user '%s'@'%s' (using password: %s)", l.user, c.host(), word)
	}
	plugin := l.plugin
	if plugin == "" && l.caps&capPluginAuth == 0 {
		plugin = pluginNative // clients from before there were plugins
	}
	answer := l.answer
	// An answer to a nonce that was meant for another method is empty: the client waits to be asked again.
	again := plugin == pluginNative && len(answer) == 0 && l.caps&capPluginAuth != 0
	if again || plugin != pluginNative && plugin != pluginCaching {
		if l.caps&capPluginAuth == 0 {
			return sqlerr.New("08P01", "the client knows no way to show who it is").
				My(1251, "Client does not support authentication protocol requested by server; consider upgrading MySQL client")
		}
		if plugin = pluginCaching; again {
			plugin = pluginNative
		}
		var err error
		if answer, err = c.switchTo(plugin); err != nil {
			return err
		}
	}
	if len(answer) == 0 {
		return denied(false) // no user has an empty password
	}
	if plugin == pluginNative {
		if auth.CheckNative(store, l.user, c.nonce, answer) != nil {
			return denied(true)
		}
		return nil
	}
	remembered, err := c.s.caching.Fast(l.user, c.nonce, answer)
	if err == nil && remembered {
		c.moreData(3)
		return nil
	}
	if err == nil {
		c.moreData(4)
		err = c.full(l.user)
	}
	if errors.Is(err, auth.ErrDenied) {
		return denied(true)
	}
	return err
}

// full is the exchange of caching_sha2_password that needs the password itself: under TLS, or encrypted with our key.
func (c *client) full(user string) error {
	p, err := c.answer()
	if err != nil {
		return err
	}
	if c.secured {
		return c.s.caching.Full(user, p)
	}
	const encrypted = 256 // bytes, by a key of 2,048 bits
	if len(p) > 1 && len(p) != encrypted && c.local() {
		return c.s.caching.Full(user, p) // MariaDB's client takes the way to its own machine for safe
	}
	if len(p) == 1 && p[0] == 2 {
		key, err := c.s.caching.PublicKey()
		if err != nil {
			c.s.o.Logger.Error("no key for clients without TLS", "error", err)
			return auth.ErrDenied
		}
		o := &c.out
		at := o.begin()
		o.byte(1)
		o.buf = append(o.buf, key...)
		o.end(at)
		if p, err = c.answer(); err != nil {
			return err
		}
	}
	return c.s.caching.Encrypted(user, c.nonce, p)
}

// moreData is AuthMoreData with one byte of the method's.
func (c *client) moreData(b byte) {
	at := c.out.begin()
	c.out.buf = append(c.out.buf, 1, b)
	c.out.end(at)
}

// host is where the client is, without the port.
func (c *client) host() string {
	addr := c.raw.RemoteAddr()
	if addr == nil || strings.HasPrefix(addr.Network(), "unix") {
		return "localhost"
	}
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	return host
}

// local tells whether the client is on this machine.
func (c *client) local() bool {
	switch a := c.raw.RemoteAddr().(type) {
	case *net.UnixAddr:
		return true
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	}
	return false
}

// begin opens the session of a client that was let in.
func (c *client) begin(ctx context.Context, l *login) error {
	params := map[string]string{}
	if level := l.attrs[readConsistency]; level != "" {
		params[readConsistency] = level
	}
	if name, ok := collations[l.collation]; ok && l.collation != types.UTF8MB4Collation {
		charset, _, _ := strings.Cut(name, "_")
		params["character_set_client"], params["character_set_results"], params["character_set_connection"] = charset, charset, charset
		params["collation_connection"] = name
	}
	x, err := c.s.o.Sessions.Open(ctx, session.Config{
		Dialect: ir.MySQL, User: l.user, Database: l.database, RemoteAddr: c.raw.RemoteAddr(), ID: c.id, Params: params, Reign: c.reign,
		FoundRows: l.caps&capFoundRows != 0, Terminate: c.terminate,
	})
	if err != nil {
		return err
	}
	c.x, c.login = x, l
	c.text = types.UTF8MB4Collation
	if name := collations[l.collation]; strings.HasPrefix(name, "utf8") {
		c.text = uint16(l.collation)
	}
	c.settle()
	return nil
}

// collations are those that clients connect with; others count as utf8mb4_0900_ai_ci.
var collations = map[byte]string{
	8: "latin1_swedish_ci", 11: "ascii_general_ci", 33: "utf8mb3_general_ci", 45: "utf8mb4_general_ci", 46: "utf8mb4_bin", 47: "latin1_bin",
	63: "binary", 83: "utf8mb3_bin", 192: "utf8mb3_unicode_ci", 224: "utf8mb4_unicode_ci", 246: "utf8mb4_unicode_520_ci", 255: "utf8mb4_0900_ai_ci",
}

// settle reads the variables of the session that the protocol itself follows.
func (c *client) settle() {
	name := "wait_timeout"
	if c.caps&capInteractive != 0 {
		name = "interactive_timeout"
	}
	c.patience.Store(int64(8 * time.Hour))
	if v, ok := c.x.Variable(name); ok {
		if d, err := time.ParseDuration(v + "s"); err == nil && d > 0 {
			c.patience.Store(int64(min(d, 365*24*time.Hour)))
		}
	}
	mode, _ := c.x.Variable("sql_mode")
	mode = "," + strings.ToUpper(mode) + ","
	c.ansiQuotes = strings.Contains(mode, ",ANSI_QUOTES,")
	c.noBackslash = strings.Contains(mode, ",NO_BACKSLASH_ESCAPES,")
}
