// The page of ../express-page.mjs in Next.js: "use cache" says what is shared, cache-handler.mjs where.
//   npm install && npm install ../../../clients/node/corral-cache-0.1.0.tgz && cp ../shop.mjs . && npm run build
//   REDIS_URL=redis://127.0.0.1:6379 npm start -- --port 3000
import { Suspense } from 'react'
import { cacheLife, cacheTag, updateTag } from 'next/cache'
import { openShop } from '../shop.mjs'

async function bestSellers(city) {
  'use cache: remote'
  cacheLife({ stale: 300, revalidate: 10, expire: 3600 })
  cacheTag(`city:${city}`)
  return openShop().bestSellers(city)
}

async function order(form) {
  'use server'
  openShop().order(form.get('city'), form.get('product'), Number(form.get('pieces')))
  updateTag(`city:${form.get('city')}`)
}

async function Best({ searchParams }) {
  const { city = 'Basel' } = await searchParams
  const { products, counted } = await bestSellers(city)
  return (
    <>
      <h1>{city}</h1>
      <ol>{products.map(({ product, pieces }) => <li key={product}>{product}: {pieces}</li>)}</ol>
      <p>Counted {counted}</p>
      <form action={order}>
        <input name="city" defaultValue={city} /><input name="product" /><input name="pieces" type="number" />
        <button>Order</button>
      </form>
    </>
  )
}

export default function Page({ searchParams }) {
  return <Suspense fallback={<p>…</p>}><Best searchParams={searchParams} /></Suspense>
}
