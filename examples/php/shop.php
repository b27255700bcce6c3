<?php

/* The orders of a small shop, in SQLite, and a report that takes its time. */

declare(strict_types=1);

final class Shop
{
    private readonly PDO $database;

    public function __construct(string $path)
    {
        $isNew = !is_file($path);
        $this->database = new PDO("sqlite:$path");
        if ($isNew) {
            $this->database->exec('CREATE TABLE orders (day TEXT, city TEXT, cents INTEGER)');
            $this->database->exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
                INSERT INTO orders SELECT 'day ' || (i % 7), 'city ' || (i % 40), i % 9973 FROM n");
        }
    }

    /** @return array{day: string, orders: int, total: float, cities: list<array{city: string, cents: int}>} */
    public function report(string $day): array
    {
        $sum = $this->database->prepare('SELECT count(*) AS orders, sum(cents) / 100.0 AS total FROM orders WHERE day = ?');
        $sum->execute([$day]);
        $cities = $this->database->prepare('SELECT city, sum(cents) AS cents FROM orders WHERE day = ? GROUP BY city ORDER BY cents DESC LIMIT 3');
        $cities->execute([$day]);
        return ['day' => $day] + $sum->fetch(PDO::FETCH_ASSOC) + ['cities' => $cities->fetchAll(PDO::FETCH_ASSOC)];
    }

    public function order(string $day, string $city, int $cents): void
    {
        $this->database->prepare('INSERT INTO orders VALUES (?, ?, ?)')->execute([$day, $city, $cents]);
    }
}
