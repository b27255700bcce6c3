import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { freePort, startServer, until } from './server.mjs'

let server
const directory = mkdtempSync(join(tmpdir(), 'corral-shop-'))
const pages = []
before(async () => (server = await startServer()))
after(async () => {
  await Promise.all(pages.map(({ process, ended }) => (process.kill(), ended)))
  await server.stop()
  rmSync(directory, { recursive: true })
})

/** A process of the page, listening where it says. */
async function startPage() {
  const page = spawn(process.execPath, ['express-page.mjs'], {
    env: { ...process.env, PORT: String(await freePort()), REDIS_URL: server.url, SHOP: join(directory, 'shop.db') }, stdio: ['ignore', 'pipe', 'inherit'],
  })
  pages.push({ process: page, ended: new Promise((resolve) => page.once('exit', resolve)) })
  const [url] = await new Promise((resolve, reject) => {
    createInterface({ input: page.stdout }).once('line', (line) => resolve([line]))
    page.once('exit', () => reject(new Error('the page ended')))
  })
  return url
}

test('two processes of the Express page answer forty readers with one query, and a new order is seen', { timeout: 300_000 }, async () => {
  const urls = await Promise.all([startPage(), startPage()])
  const read = async (url) => await (await fetch(`${url}/best/Basel`)).json()
  const answers = await Promise.all(Array.from({ length: 40 }, (_, at) => read(urls[at % 2])))
  assert.equal(new Set(answers.map(({ counted }) => counted)).size, 1)
  assert.equal(answers[0].products.length, 5)
  await fetch(`${urls[1]}/orders`, { method: 'POST', body: new URLSearchParams({ city: 'Basel', product: 'chalk', pieces: '1000000' }) })
  const first = await until('the order is on the page', async () => {
    const { products } = await read(urls[0])
    return products[0].product === 'chalk' && products[0]
  })
  assert.equal(first.pieces, 1_000_000)
})
