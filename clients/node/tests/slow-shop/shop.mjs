// In place of examples/node/shop.mjs for clients/conformance/page_under_load.py: a query that takes half a second without
// holding up its process, notes in the table `built` that it ran, and fails while the table of orders is away.
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'

let database
export function openShop() {
  database ??= new Database(process.env.SHOP, { timeout: 30_000 })
  return {
    async bestSellers(city) {
      database.prepare('INSERT INTO built VALUES (?)').run(city)
      await sleep(500)
      const products = database.prepare('SELECT product, sum(pieces) AS pieces FROM orders WHERE city = ? GROUP BY product ORDER BY pieces DESC LIMIT 5').all(city)
      return { products, counted: `by process ${process.pid}` }
    },
    order: (city, product, pieces) => database.prepare('INSERT INTO orders VALUES (?, ?, ?)').run(city, product, pieces),
  }
}
