// A page of best sellers, in as many processes as you like: the query runs in one of them, whoever asks.
//   npm install && npm install ../../clients/node/corral-cache-0.1.0.tgz   (made there by: npm ci && npm pack)
//   REDIS_URL=redis://127.0.0.1:6379 PORT=3000 node express-page.mjs
//   curl http://127.0.0.1:3000/best/Basel
//   curl -d city=Basel -d product='product 7' -d pieces=500 http://127.0.0.1:3000/orders
import { BuildFailed, Corral } from 'corral-cache'
import express from 'express'
import { createClient } from 'redis'
import { openShop } from './shop.mjs'

const shop = openShop()
const cache = new Corral(createClient({ url: process.env.REDIS_URL }), { ttl: 10, swr: 60, sie: 3600 })
const best = cache.cached('best:{city}', (city) => shop.bestSellers(city))

const app = express()

app.get('/best/:city', async (request, response) => {
  response.json(await best(request.params.city))
})

app.post('/orders', express.urlencoded(), async (request, response) => {
  const { city, product, pieces } = request.body
  shop.order(city, product, Number(pieces))
  await best.invalidate(city) // the next reader refreshes; a query that is under way now is not stored
  response.sendStatus(204)
})

app.use((error, _request, response, next) => {
  if (!(error instanceof BuildFailed)) return next(error)
  response.set('Retry-After', String(Math.ceil(error.retryAfter))).status(503).send('try again soon')
})

const server = app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`))
process.once('SIGTERM', () => server.close(() => cache.close()))
