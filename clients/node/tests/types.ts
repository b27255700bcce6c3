// Compiled by tsc --strict, never run: what applications write has the types they expect.
import { Corral, NotShared } from 'corral-cache'
import { createClient, createCluster, createSentinel } from 'redis'
import { Redis, Cluster } from 'ioredis'
const c = new Corral(createClient({ RESP: 2 }), { ttl: 60 })
new Corral(createClient()); new Corral(createCluster({ rootNodes: [] })); new Corral(createSentinel({ name: 'x', sentinelRootNodes: [] }))
new Corral(new Redis()); new Corral(new Cluster([])); new Corral('redis://h')
interface Page { html: string }
const p: Page = await c.getOrBuild('k', async () => ({ html: 'x' }))
const q: Page = await c.getOrBuild('k', async (): Promise<Page | NotShared<Page>> => Math.random() > 1 ? { html: 'x' } : new NotShared({ html: 'y' }))
const n: number = await c.getOrBuild('k', () => 5)
const f = c.cached('r:{day}', async (day: string, k: number): Promise<Page> => ({ html: day }), { ttl: 5, tags: (v) => [v.html] })
const r: Page = await f('d', 1); const key: string | Buffer = f.key('d', 1); const rr: Page = await f.refresh('d', 2)
const g = c.cached((a: number) => `x:${a}`, (a: number) => a > 1 ? new NotShared(a) : a)
const s: number = await g(1)
// @ts-expect-error
await f(1)
// @ts-expect-error
await c.getOrBuild('k', () => 1, { tll: 5 })
console.log(p, q, n, r, key, rr, s)
