//go:build unix

package spawn

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// defaultPath is searched when Env has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// lookup finds the program in the PATH of the child's environment, which is not the supervisor's.
func (s *Spec) lookup(program string) (string, error) {
	if strings.Contains(program, "/") {
		return program, nil
	}
	path := defaultPath
	for _, v := range s.Env {
		if p, ok := strings.CutPrefix(v, "PATH="); ok {
			path = p
		}
	}
	err := error(syscall.ENOENT)
	for dir := range strings.SplitSeq(path, ":") {
		// An empty or relative entry would run whatever lies in the working folder.
		if !filepath.IsAbs(dir) {
			continue
		}
		file := filepath.Join(dir, program)
		info, e := os.Stat(file)
		if e != nil || info.IsDir() {
			continue
		}
		if info.Mode()&0o111 == 0 {
			err = syscall.EACCES
			continue
		}
		return file, nil
	}
	if err == syscall.EACCES {
		return "", s.failed("look up", program, err, "a file of that name in PATH is not executable")
	}
	return "", s.failed("look up", program, err, "not in PATH "+path)
}

// explain makes words of the errno of a fork and exec, which doesn't tell the step that failed.
func (s *Spec) explain(path string, err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return s.failed("exec", path, err, "")
	}
	if s.Dir != "" {
		if info, e := os.Stat(s.Dir); e != nil {
			return s.failed("change directory to", s.Dir, errno, "")
		} else if !info.IsDir() {
			return s.failed("change directory to", s.Dir, errno, "it is not a folder")
		}
	}
	file := path
	if !filepath.IsAbs(file) {
		file = filepath.Join(s.Dir, path)
	}
	info, statErr := os.Stat(file)
	hint := ""
	switch errno {
	case syscall.ENOENT:
		if statErr != nil {
			hint = "there is no such file"
		} else if in := interpreter(file); in != "" {
			hint = "its interpreter " + in + " is not there"
		} else {
			hint = "the file is there, but not the loader it was linked for"
		}
	case syscall.EACCES:
		switch {
		case statErr != nil:
			hint = "a folder of the path can't be entered"
		case info.IsDir():
			hint = "it is a folder"
		case info.Mode()&0o111 == 0:
			hint = "it is not executable: chmod +x"
		case interpreter(file) != "":
			hint = "it or its interpreter " + interpreter(file) + " may not be executed"
		case s.Dir != "":
			hint = "the file or " + s.Dir + " is closed to the user, or mounted noexec"
		default:
			hint = "the file is closed to the user, or mounted noexec"
		}
	case syscall.ENOEXEC:
		hint = "neither a program for this machine nor a script with #! in its first line"
	case syscall.E2BIG:
		hint = "arguments and environment are too long"
	case syscall.EAGAIN:
		hint = "too many processes: see ulimit -u and pids.max"
	case syscall.ETXTBSY:
		hint = "the file is being written"
	}
	return s.failed("exec", path, errno, hint)
}

// interpreter is the program that the first line of a script names, or "".
func interpreter(file string) string {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	line, _ := bufio.NewReader(io.LimitReader(f, 256)).ReadString('\n')
	rest, ok := strings.CutPrefix(line, "#!")
	if words := strings.Fields(rest); ok && len(words) > 0 {
		return words[0]
	}
	return ""
}
