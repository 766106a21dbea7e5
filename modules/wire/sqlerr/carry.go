package sqlerr

import (
	"errors"
	"strconv"
	"strings"
)

// SQLite hands an error of a Go function on as text alone. Carry puts an Error's fields into that text and Carried takes
// them out again, so that a function's SQLSTATE, detail and hint reach the client.

// carryMark separates the fields; it doesn't occur in messages.
const carryMark = "\x1f"

// Carry returns an error whose text holds err's fields when it is an *Error, else err itself.
func Carry(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	clean := func(s string) string { return strings.ReplaceAll(s, carryMark, " ") }
	return errors.New(strings.Join([]string{
		clean(e.Message), e.State, strconv.Itoa(int(e.Number)), clean(e.MyMessage), clean(e.Detail), clean(e.Hint), "",
	}, carryMark))
}

// Carried finds the Error that Carry put into a text, wherever it stands after a prefix that ends with ": ".
func Carried(text string) (*Error, bool) {
	fields := strings.Split(text, carryMark)
	if len(fields) != 7 || len(fields[1]) != 5 {
		return nil, false
	}
	n, err := strconv.ParseUint(fields[2], 10, 16)
	if err != nil {
		return nil, false
	}
	msg := strings.TrimPrefix(fields[0], "sqlite3: ")
	msg = strings.TrimPrefix(msg, "SQL logic error: ")
	return &Error{
		State: fields[1], Number: uint16(n), Message: msg, MyMessage: fields[3], Detail: fields[4], Hint: fields[5],
	}, true
}
