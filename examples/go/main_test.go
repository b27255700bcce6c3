package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The page as its own processes: this program, told so by its environment.
func TestMain(m *testing.M) {
	if os.Getenv("SHOP") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func freePort(t *testing.T) string {
	for {
		port := strconv.Itoa(20000 + rand.IntN(12000))
		if probe, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			_ = probe.Close()
			return port
		}
	}
}

// startPage gives the URL that a new process of the page says. REDIS_URL names a server that has the module.
func startPage(t *testing.T, file string) string {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), "SHOP="+file, "PORT="+freePort(t))
	command.Stderr = os.Stderr
	said, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		if err := command.Wait(); err != nil {
			t.Errorf("the page ended with %v", err)
		}
	})
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func read(t *testing.T, page string) (best bestSellers) {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		answer, err := http.Get(page + "/best/Basel")
		if err != nil { // it says its URL before it listens
			if time.Now().After(deadline) {
				t.Error(err)
				return
			}
			continue
		}
		defer answer.Body.Close()
		if err := json.NewDecoder(answer.Body).Decode(&best); err != nil {
			t.Error(err)
		}
		return
	}
}

func TestTwoProcessesAnswerFortyReadersWithOneQueryAndANewOrderIsSeen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "shop.db")
	pages := []string{startPage(t, file), startPage(t, file)}
	answers := make([]bestSellers, 40)
	var all sync.WaitGroup
	for at := range answers {
		all.Add(1)
		go func() {
			defer all.Done()
			answers[at] = read(t, pages[at%2])
		}()
	}
	all.Wait()
	for _, answer := range answers {
		if answer.Counted != answers[0].Counted || len(answer.Products) != 5 {
			t.Fatalf("not one query: %v and %v", answer, answers[0])
		}
	}
	ordered, err := http.PostForm(pages[1]+"/orders", url.Values{"city": {"Basel"}, "product": {"chalk"}, "pieces": {"1000000"}})
	if err != nil || ordered.StatusCode != http.StatusNoContent {
		t.Fatal(ordered, err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if first := read(t, pages[0]).Products[0]; first == (product{"chalk", 1_000_000}) {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the order is not on the page, but %v", first)
		}
	}
	fmt.Println("one query for two processes and forty readers")
}
