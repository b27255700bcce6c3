<?php

/* The orders of a small shop, in SQLite, and a report that takes its time. */

declare(strict_types=1);

final class Shop
{
    private ?PDO $database = null;

    public function __construct(private readonly string $path)
    {
    }

    /** Opened by who asks for something: a page from the cache needs none. */
    private function database(): PDO
    {
        if ($this->database !== null) {
            return $this->database;
        }
        $this->database = new PDO("sqlite:{$this->path}");
        $this->database->exec('PRAGMA busy_timeout = 10000');
        $this->database->exec('BEGIN IMMEDIATE'); // another worker may be the first, too
        $this->database->exec('CREATE TABLE IF NOT EXISTS orders (day TEXT, city TEXT, cents INTEGER)');
        $this->database->exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
            INSERT INTO orders SELECT 'day ' || (i % 7), 'city ' || (i % 40), i % 9973 FROM n WHERE NOT EXISTS (SELECT 1 FROM orders)");
        $this->database->exec('COMMIT');
        return $this->database;
    }

    /** @return array{day: string, orders: int, total: float, cities: list<array{city: string, cents: int}>} */
    public function report(string $day): array
    {
        $sum = $this->database()->prepare('SELECT count(*) AS orders, sum(cents) / 100.0 AS total FROM orders WHERE day = ?');
        $sum->execute([$day]);
        $cities = $this->database()->prepare('SELECT city, sum(cents) AS cents FROM orders WHERE day = ? GROUP BY city ORDER BY cents DESC LIMIT 3');
        $cities->execute([$day]);
        return ['day' => $day] + $sum->fetch(PDO::FETCH_ASSOC) + ['cities' => $cities->fetchAll(PDO::FETCH_ASSOC)];
    }

    public function order(string $day, string $city, int $cents): void
    {
        $this->database()->prepare('INSERT INTO orders VALUES (?, ?, ?)')->execute([$day, $city, $cents]);
    }
}
