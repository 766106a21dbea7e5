package balance

import (
	"bytes"
	"io"
	"net"
	"testing"
)

func TestProxyHeader(t *testing.T) {
	tcp := func(s string) net.Addr { a, _ := net.ResolveTCPAddr("tcp", s); return a }
	for _, test := range []struct {
		name       string
		header     ProxyHeader
		from, to   net.Addr
		wantHeader string
	}{
		{"none is empty", ProxyNone, tcp("1.2.3.4:5"), tcp("6.7.8.9:10"), ""},
		{"v1 over IPv4", ProxyV1, tcp("1.2.3.4:5"), tcp("6.7.8.9:10"), "PROXY TCP4 1.2.3.4 6.7.8.9 5 10\r\n"},
		{"v1 over IPv6", ProxyV1, tcp("[::1]:5"), tcp("[fe80::2]:10"), "PROXY TCP6 ::1 fe80::2 5 10\r\n"},
		{"v1 of a mapped address is IPv4", ProxyV1, tcp("[::ffff:1.2.3.4]:5"), tcp("6.7.8.9:10"), "PROXY TCP4 1.2.3.4 6.7.8.9 5 10\r\n"},
		{"v1 of a unix socket is unknown", ProxyV1, &net.UnixAddr{}, &net.UnixAddr{}, "PROXY UNKNOWN\r\n"},
		{"v2 over IPv4", ProxyV2, tcp("1.2.3.4:5"), tcp("6.7.8.9:10"),
			"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x01\x02\x03\x04\x06\x07\x08\x09\x00\x05\x00\x0a"},
		{"v2 over IPv6", ProxyV2, tcp("[::1]:5"), tcp("[::2]:10"), "\r\n\r\n\x00\r\nQUIT\n\x21\x21\x00\x24" +
			"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x05\x00\x0a"},
		{"v2 of a unix socket is unspecified", ProxyV2, &net.UnixAddr{}, &net.UnixAddr{}, "\r\n\r\n\x00\r\nQUIT\n\x21\x00\x00\x00"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := string(test.header.header(test.from, test.to)); got != test.wantHeader {
				t.Errorf("got %q, want %q", got, test.wantHeader)
			}
		})
	}
	t.Run("it comes before the first byte", func(t *testing.T) {
		b := newBackend(t, echo)
		c := dial(t, listen(t, newPool(t, PoolOptions{}, b.target("a")), Options{Proxy: ProxyV1}))
		io.WriteString(c, "hi")
		c.CloseWrite()
		got, err := io.ReadAll(c)
		want := "PROXY TCP4 127.0.0.1 127.0.0.1 "
		if err != nil || !bytes.HasPrefix(got, []byte(want)) || !bytes.HasSuffix(got, []byte("\r\nhi")) {
			t.Errorf("%q, %v", got, err)
		}
	})
}
