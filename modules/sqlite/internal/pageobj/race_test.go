//go:build race

package pageobj

func init() { raced = true }
