// A shop's database, and a query that is slow because it reads every order.
import Database from 'better-sqlite3'

export function openShop(file = process.env.SHOP ?? 'shop.db') {
  const database = new Database(file)
  database.pragma('journal_mode = WAL')
  database.exec('CREATE TABLE IF NOT EXISTS orders (city TEXT NOT NULL, product TEXT NOT NULL, pieces INTEGER NOT NULL)')
  const add = database.prepare('INSERT INTO orders VALUES (?, ?, ?)')
  // One process fills an empty shop; the others wait for its transaction.
  database.transaction(() => {
    if (database.prepare('SELECT 1 FROM orders').get()) return
    for (let order = 0; order < 300_000; order++) add.run(['Basel', 'Bern', 'Zug'][order % 3], `product ${order % 97}`, order % 5)
  }).immediate()
  const best = database.prepare('SELECT product, sum(pieces) AS pieces FROM orders WHERE city = ? GROUP BY product ORDER BY pieces DESC, product LIMIT 5')
  return {
    bestSellers: (city) => ({ products: best.all(city), counted: `by process ${process.pid} at ${new Date().toISOString()}` }),
    order: (city, product, pieces) => add.run(city, product, pieces),
  }
}
