package ast

import "testing"

func TestDecode(t *testing.T) {
	t.Run("what is cut off is malformed", func(t *testing.T) {
		whole := []byte{8, 1, 18, 6, 10, 4, 10, 2, 8, 1}
		for n := 1; n < len(whole); n++ {
			if n == 2 { // a version without statements is whole
				continue
			}
			if _, err := Decode(whole[:n]); err == nil {
				t.Errorf("%d bytes were taken", n)
			}
		}
	})
	t.Run("lengths beyond the input are malformed", func(t *testing.T) {
		for _, b := range [][]byte{{18, 255, 255, 255, 255, 255, 255, 255, 255, 127}, {18, 128}, {0xff, 0xff, 0xff}, {18, 2, 10, 5}} {
			if _, err := Decode(b); err == nil {
				t.Errorf("% x was taken", b)
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{8, 1, 18, 6, 10, 4, 10, 2, 8, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if tree, err := Decode(b); err == nil && tree == nil {
			t.Fatal("no tree and no error")
		}
	})
}
