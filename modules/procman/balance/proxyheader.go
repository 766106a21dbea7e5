package balance

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
)

// ProxyHeader is what a target is told about the client before the first byte of it, by HAProxy's PROXY protocol. The
// target must expect it.
type ProxyHeader int

const (
	ProxyNone ProxyHeader = iota
	ProxyV1               // a line of text
	ProxyV2               // binary
)

var proxyHeaderNames = []string{ProxyNone: "none", ProxyV1: "v1", ProxyV2: "v2"}

func (h ProxyHeader) String() string {
	if h < 0 || int(h) >= len(proxyHeaderNames) {
		return "unknown"
	}
	return proxyHeaderNames[h]
}

// header is nil for ProxyNone. A client that has no IP address, such as on a unix socket, is UNKNOWN.
func (h ProxyHeader) header(client, local net.Addr) []byte {
	from, to, known := addrPorts(client, local)
	family := "TCP4"
	if known && from.Addr().Is6() {
		family = "TCP6"
	}
	switch h {
	case ProxyV1:
		if !known {
			return []byte("PROXY UNKNOWN\r\n")
		}
		return fmt.Appendf(nil, "PROXY %s %s %s %d %d\r\n", family, from.Addr(), to.Addr(), from.Port(), to.Port())
	case ProxyV2:
		b := []byte("\r\n\r\n\x00\r\nQUIT\n\x21") // the signature, then version 2 and command PROXY
		if !known {
			return append(b, 0, 0, 0) // family unspecified, length 0
		}
		var body []byte
		body = append(body, from.Addr().AsSlice()...)
		body = append(body, to.Addr().AsSlice()...)
		body = binary.BigEndian.AppendUint16(body, from.Port())
		body = binary.BigEndian.AppendUint16(body, to.Port())
		code := byte(0x11) // TCP over IPv4
		if family == "TCP6" {
			code = 0x21
		}
		b = append(b, code)
		b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
		return append(b, body...)
	}
	return nil
}

// addrPorts gives both addresses in one family.
func addrPorts(a, b net.Addr) (from, to netip.AddrPort, ok bool) {
	ta, okA := a.(*net.TCPAddr)
	tb, okB := b.(*net.TCPAddr)
	if !okA || !okB {
		return from, to, false
	}
	from, to = ta.AddrPort(), tb.AddrPort()
	x, y := from.Addr().Unmap().WithZone(""), to.Addr().Unmap().WithZone("")
	if x.Is4() != y.Is4() {
		x, y = netip.AddrFrom16(x.As16()), netip.AddrFrom16(y.As16())
	}
	return netip.AddrPortFrom(x, from.Port()), netip.AddrPortFrom(y, to.Port()), x.IsValid() && y.IsValid()
}
