package mysql

import (
	"encoding/binary"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/pingcap/tidb/pkg/parser/ast"
	parsermysql "github.com/pingcap/tidb/pkg/parser/mysql"
	driver "github.com/pingcap/tidb/pkg/parser/test_driver"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/types"
)

// literal maps a constant.
func (m *mapper) literal(n *driver.ValueExpr) ir.Expr {
	pos := n.OriginTextPosition()
	switch n.Kind() {
	case driver.KindNull:
		return &ir.Literal{Pos: pos}
	case driver.KindInt64:
		return integer(n.GetInt64(), pos)
	case driver.KindUint64:
		if u := n.GetUint64(); u <= math.MaxInt64 {
			return integer(int64(u), pos)
		}
		return &ir.Literal{Value: types.StringValue(uitoa(n.GetUint64())), Type: types.Type{Kind: types.Numeric, Len: 20}, Pos: pos}
	case driver.KindFloat32, driver.KindFloat64:
		return &ir.Literal{Value: types.FloatValue(n.GetFloat64()), Type: types.T(types.Float8), Pos: pos}
	case driver.KindMysqlDecimal:
		return decimal(n.GetMysqlDecimal().String(), pos)
	case driver.KindString, driver.KindBytes:
		return text(n.GetString(), n.Type.GetCharset(), pos)
	case driver.KindBinaryLiteral:
		b := []byte(n.GetBinaryLiteral())
		introduced := n.Type.GetFlag()&parsermysql.UnderScoreCharsetFlag != 0
		switch {
		case introduced:
			return text(string(b), n.Type.GetCharset(), pos)
		case n.Type.GetFlag()&parsermysql.UnsignedFlag == 0 && len(b) < 8: // b'…'
			var whole [8]byte
			copy(whole[8-len(b):], b)
			return &ir.Literal{Value: types.IntValue(int64(binary.BigEndian.Uint64(whole[:]))), Type: types.Type{Kind: types.Bit, Len: int32(max(8*len(b), 1))}, Pos: pos}
		}
		return &ir.Literal{Value: types.BlobValue(b), Type: types.T(types.Bytes), Pos: pos}
	}
	m.fail(unknown("literal"))
	return &ir.Literal{Pos: pos}
}

func integer(i int64, pos int) *ir.Literal {
	return &ir.Literal{Value: types.IntValue(i), Type: types.T(types.Int8), Pos: pos}
}

func str(s string) *ir.Literal {
	return &ir.Literal{Value: types.StringValue(s), Type: types.T(types.Varchar), Pos: -1}
}

func uitoa(u uint64) string {
	var b [20]byte
	i := len(b)
	for {
		i--
		b[i] = byte('0' + u%10)
		if u /= 10; u == 0 {
			return string(b[i:])
		}
	}
}

func decimal(digits string, pos int) *ir.Literal {
	t := types.Type{Kind: types.Numeric}
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(digits, "-"), ".")
	whole = strings.TrimLeft(whole, "0")
	t.Scale = int32(len(fraction))
	t.Len = max(int32(len(whole)+len(fraction)), 1)
	return &ir.Literal{Value: types.StringValue(digits), Type: t, Pos: pos}
}

// text makes a string. All text is UTF-8 here: bytes that aren't, and strings introduced as binary, are bytes.
func text(s, charset string, pos int) *ir.Literal {
	switch charset {
	case "binary":
		return &ir.Literal{Value: types.BlobValue([]byte(s)), Type: types.T(types.Bytes), Pos: pos}
	case "latin1":
		if !isASCII(s) && !utf8.ValidString(s) {
			b := make([]byte, 0, len(s)*2)
			for i := range len(s) {
				b = utf8.AppendRune(b, rune(s[i]))
			}
			s = string(b)
		}
	}
	if !utf8.ValidString(s) {
		return &ir.Literal{Value: types.BlobValue([]byte(s)), Type: types.T(types.Bytes), Pos: pos}
	}
	return &ir.Literal{Value: types.StringValue(s), Type: types.T(types.Varchar), Pos: pos}
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// negative makes a number negative; nil if e is none.
func negative(e ir.Expr, pos int) ir.Expr {
	l, ok := e.(*ir.Literal)
	if !ok {
		return nil
	}
	switch {
	case l.Value.Class == types.Int && l.Type.Kind == types.Int8 && l.Value.I > 0:
		return integer(-l.Value.I, pos)
	case l.Value.Class == types.Float:
		return &ir.Literal{Value: types.FloatValue(-l.Value.F), Type: l.Type, Pos: pos}
	case l.Value.Class == types.String && l.Type.Kind == types.Numeric && l.Value.B[0] != '-':
		if string(l.Value.B) == "9223372036854775808" {
			return integer(-1<<63, pos)
		}
		return &ir.Literal{Value: types.StringValue("-" + string(l.Value.B)), Type: l.Type, Pos: pos}
	}
	return nil
}

// textOf returns the string of a constant.
func textOf(n ast.ExprNode) (string, bool) {
	v, ok := n.(*driver.ValueExpr)
	if !ok || v.Kind() != driver.KindString && v.Kind() != driver.KindBytes {
		return "", false
	}
	return v.GetString(), true
}
