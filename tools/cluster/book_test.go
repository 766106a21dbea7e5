package main

import (
	"reflect"
	"testing"
)

func TestBook(t *testing.T) {
	for _, c := range []struct {
		name string
		rows []int64
		want audit
	}{
		{"an insert of unknown outcome may be there", []int64{1, 2, 3}, audit{}},
		{"an insert of unknown outcome may be absent", []int64{2, 1}, audit{}},
		{"an acknowledged row that is absent is lost", []int64{2}, audit{Lost: []int64{1}}},
		{"a row that is there twice was applied twice", []int64{1, 2, 2}, audit{Duplicates: []int64{2}}},
		{"an unknown one must not be there twice either", []int64{1, 2, 3, 3}, audit{Duplicates: []int64{3}}},
		{"a refused row must not be there", []int64{1, 2, 4}, audit{Refused: []int64{4}}},
		{"a row that nobody inserted is strange", []int64{1, 2, 9}, audit{Strange: []int64{9}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b book
			b.enter(1, acknowledged)
			b.enter(2, acknowledged)
			b.enter(3, unknown)
			b.enter(4, refused)
			got := b.audit(c.rows)
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if clean := reflect.DeepEqual(c.want, audit{}); (got.err() == nil) != clean {
				t.Errorf("err() = %v", got.err())
			}
		})
	}
}
