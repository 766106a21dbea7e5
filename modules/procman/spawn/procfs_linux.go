package spawn

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// readSome reads a file of /proc at once. What doesn't fit is cut off.
func readSome(path string, buf []byte) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		return buf[:max(n, 0)], err
	}
}

var errStat = errors.New("unknown form of /proc/PID/stat")

// readStat reads /proc/PID/stat.
func readStat(pid int) (ProcInfo, error) {
	var buf [1024]byte
	b, err := readSome("/proc/"+strconv.Itoa(pid)+"/stat", buf[:])
	if err != nil {
		return ProcInfo{}, err
	}
	return parseStat(b)
}

var pageSize = int64(os.Getpagesize())

// parseStat parses "pid (comm) state ppid ...". comm may have spaces and parentheses, so the last one counts.
func parseStat(b []byte) (p ProcInfo, err error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 2 || end < open || end+2 > len(b) {
		return p, errStat
	}
	if p.Pid, err = strconv.Atoi(string(b[:open-1])); err != nil {
		return p, errStat
	}
	p.Comm = string(b[open+1 : end])
	var n [25]int64 // by the numbers of proc(5)
	field := 2
	for f := range bytes.FieldsSeq(b[end+1:]) {
		field++
		if field >= len(n) {
			break
		}
		if field == 3 {
			p.State = f[0]
			continue
		}
		n[field], _ = strconv.ParseInt(string(f), 10, 64)
	}
	if field < 24 {
		return p, errStat
	}
	p.PPid, p.PGid, p.Sid = int(n[4]), int(n[5]), int(n[6])
	p.CPUTicks, p.Threads, p.StartTime, p.RSS = uint64(n[14]+n[15]), int(n[20]), uint64(n[22]), n[24]*pageSize
	return p, nil
}

// readMarker is the value of MarkerEnv that the process was executed with, or "". What is behind buf's length isn't looked
// at, but the marker comes first.
func readMarker(pid int, buf []byte) string {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/environ", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	buf[0] = 0
	n := 1
	for n < len(buf) { // the kernel gives a page at a time
		m, err := unix.Read(fd, buf[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || m <= 0 {
			break
		}
		n += m
	}
	_, rest, ok := bytes.Cut(buf[:n], []byte("\x00"+MarkerEnv+"="))
	if !ok {
		return ""
	}
	value, _, _ := bytes.Cut(rest, []byte{0})
	return string(value)
}

// ProcUsage is what one process uses now.
type ProcUsage struct {
	CPUSeconds  float64 // user and system, since it began
	RSS         int64   // bytes
	Threads     int
	Descriptors int   // -1: not readable
	ReadBytes   int64 // from block devices; -1: not readable
	WriteBytes  int64
}

// clockTick is USER_HZ, which is 100 on every system that Go runs on.
const clockTick = 100

// maxDescriptors bounds the counting on kernels before 6.2, which don't tell the number.
const maxDescriptors = 1 << 16

// Usage reads what a process uses. Its children aren't included. Without the right to look, some are -1.
func Usage(pid int) (ProcUsage, error) {
	st, err := readStat(pid)
	if err != nil {
		return ProcUsage{}, fmt.Errorf("usage of %d: %w", pid, err)
	}
	u := ProcUsage{CPUSeconds: float64(st.CPUTicks) / clockTick, RSS: st.RSS, Threads: st.Threads,
		Descriptors: -1, ReadBytes: -1, WriteBytes: -1}
	dir := "/proc/" + strconv.Itoa(pid)
	u.Descriptors = countDescriptors(dir + "/fd")
	var buf [512]byte
	if b, err := readSome(dir+"/io", buf[:]); err == nil {
		for line := range bytes.Lines(b) {
			name, value, _ := bytes.Cut(line, []byte(": "))
			n, _ := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
			switch string(name) {
			case "read_bytes":
				u.ReadBytes = n
			case "write_bytes":
				u.WriteBytes = n
			}
		}
	}
	return u, nil
}

func countDescriptors(dir string) int {
	f, err := os.Open(dir)
	if err != nil {
		return -1
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > 0 {
		return int(info.Size())
	}
	n := 0
	for n < maxDescriptors {
		names, err := f.Readdirnames(1024)
		n += len(names)
		if err != nil {
			break
		}
	}
	return n
}

// signalOne signals a process that was found in a scan, unless its pid is another's now.
func signalOne(m *ProcInfo, sig syscall.Signal) error {
	fd, err := unix.PidfdOpen(m.Pid, 0)
	if err != nil && err != unix.ENOSYS && err != unix.EPERM {
		return err
	}
	st, statErr := readStat(m.Pid)
	if err == nil {
		defer unix.Close(fd)
	}
	if statErr != nil || st.StartTime != m.StartTime {
		return syscall.ESRCH
	}
	if err != nil {
		return syscall.Kill(m.Pid, sig)
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}
