package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"time"

	_ "modernc.org/sqlite"
)

// shop is a database, and a query that is slow because it reads every order.
type shop struct{ *sql.DB }

type product struct {
	Name   string
	Pieces int
}

type bestSellers struct {
	Products []product
	Counted  string
}

func openShop(file string) (*shop, error) {
	// A transaction that begins takes the lock at once: one process fills an empty shop, the others wait for it.
	database, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(60000)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	s := &shop{database}
	if err := s.fill(); err != nil {
		return nil, fmt.Errorf("filling %s: %w", file, err)
	}
	return s, nil
}

func (s *shop) fill() error {
	begun, err := s.Begin()
	if err != nil {
		return err
	}
	defer begun.Rollback()
	if _, err := begun.Exec("CREATE TABLE IF NOT EXISTS orders (city TEXT NOT NULL, product TEXT NOT NULL, pieces INTEGER NOT NULL)"); err != nil {
		return err
	}
	var orders int
	if err := begun.QueryRow("SELECT count(*) FROM (SELECT 1 FROM orders LIMIT 1)").Scan(&orders); err != nil || orders > 0 {
		return err
	}
	_, err = begun.Exec(`
		WITH RECURSIVE number(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < 299999)
		INSERT INTO orders SELECT CASE n % 3 WHEN 0 THEN 'Basel' WHEN 1 THEN 'Bern' ELSE 'Zug' END, 'product ' || (n % 97), n % 5 FROM number`)
	if err != nil {
		return err
	}
	return begun.Commit()
}

func (s *shop) bestSellers(ctx context.Context, city string) (bestSellers, error) {
	found := bestSellers{Counted: fmt.Sprintf("by process %d at %s", os.Getpid(), time.Now().Format(time.RFC3339Nano))}
	rows, err := s.QueryContext(ctx, `
		SELECT product, sum(pieces) AS sold FROM orders WHERE city = ? GROUP BY product ORDER BY sold DESC, product LIMIT 5`, city)
	if err != nil {
		return found, err
	}
	defer rows.Close()
	for rows.Next() {
		var one product
		if err := rows.Scan(&one.Name, &one.Pieces); err != nil {
			return found, err
		}
		found.Products = append(found.Products, one)
	}
	return found, rows.Err()
}

func (s *shop) order(ctx context.Context, city, product string, pieces int) error {
	_, err := s.ExecContext(ctx, "INSERT INTO orders VALUES (?, ?, ?)", city, product, pieces)
	return err
}
