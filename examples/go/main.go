// A page of best sellers, in as many processes as you like: the query runs in one of them, whoever asks.
//
//	REDIS_URL=redis://127.0.0.1:6379 PORT=3000 go run .
//	curl http://127.0.0.1:3000/best/Basel
//	curl -d city=Basel -d product='product 7' -d pieces=500 http://127.0.0.1:3000/orders
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"corral.example/corral-cache"
	"corral.example/corral-cache/goredis"
	"github.com/redis/go-redis/v9"
)

func main() {
	if err := serve(); err != nil {
		log.Fatal(err)
	}
}

func serve() error {
	database, err := openShop(cmp.Or(os.Getenv("SHOP"), "shop.db"))
	if err != nil {
		return err
	}
	defer database.Close()
	options, err := redis.ParseURL(cmp.Or(os.Getenv("REDIS_URL"), "redis://127.0.0.1:6379"))
	if err != nil {
		return err
	}
	client := redis.NewClient(options)
	defer client.Close()
	cache, err := goredis.New(client, corral.TTL(10*time.Second), corral.SWR(time.Minute), corral.SIE(time.Hour))
	if err != nil {
		return err
	}
	defer cache.Close()

	server := &http.Server{Addr: "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "3000"), Handler: newPage(database, cache)}
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	go func() {
		<-ended.Done()
		_ = server.Shutdown(context.Background())
	}()
	fmt.Println("http://" + server.Addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// page is the shop's http.Handler.
type page struct {
	http.ServeMux
	shop *shop
	best *corral.Function[string, bestSellers]
}

func newPage(s *shop, cache *corral.Cache) *page {
	p := &page{shop: s, best: corral.Cached(cache, "best:{city}", s.bestSellers)}
	p.HandleFunc("GET /best/{city}", p.show)
	p.HandleFunc("POST /orders", p.order)
	return p
}

func (p *page) show(w http.ResponseWriter, r *http.Request) {
	best, err := p.best.Get(r.Context(), r.PathValue("city")) // a reader who goes away leaves the queue
	var failed *corral.BuildFailed
	switch {
	case errors.As(err, &failed):
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(failed.RetryAfter.Seconds()))))
		http.Error(w, "try again soon", http.StatusServiceUnavailable)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(best)
	}
}

func (p *page) order(w http.ResponseWriter, r *http.Request) {
	city := r.PostFormValue("city")
	pieces, err := strconv.Atoi(r.PostFormValue("pieces"))
	if err != nil {
		http.Error(w, "pieces is a number", http.StatusBadRequest)
		return
	}
	if err = p.shop.order(r.Context(), city, r.PostFormValue("product"), pieces); err == nil {
		err = p.best.Invalidate(r.Context(), city) // the next reader refreshes; a query that is under way now is not stored
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
