// What 'use cache' keeps, shared by all processes of this page and all deploys of this version.
import { Corral } from 'corral-cache'
import { nextCacheHandler } from 'corral-cache/next'

export default nextCacheHandler(new Corral(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379'), { prefix: 'shop:', lease: 30 })
