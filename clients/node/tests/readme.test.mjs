// Every code block of README.md, as somebody with an empty directory would run them: those for the shell where they
// stand, programs under the name in their first line, and what they print is what the README says.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { freePort, startServer } from './server.mjs'

const { CORRAL, PROJECT } = process.env // the clone; an empty project, where blocks are run
const run = promisify(execFile)
const text = readFileSync(join(CORRAL, 'clients/node/README.md'), 'utf8')
const blocks = [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, code]) => ({ language, code }))

let server
before(async () => (server = await startServer()))
after(() => server.stop())

for (const [at, { language, code }] of blocks.entries()) {
  const printed = blocks[at + 1]?.language === 'text' ? blocks[at + 1].code : ''
  const name = /^\/\/ (\S+\.mjs)$/m.exec(code)?.[1]
  const environment = { ...process.env, REDIS_URL: undefined }

  if (language === 'sh') {
    test(`block ${at}: ${code.trim().split('\n').at(-1)}`, { timeout: 900_000 }, async () => {
      await run('bash', ['-e', '-c', code], { cwd: PROJECT, env: environment })
    })
  } else if (language === 'js') {
    test(`block ${at}: ${name} prints what is said`, { timeout: 300_000 }, async (t) => {
      assert.ok(name, 'a program begins with its name')
      if (/tags|outdate|Keyv/.test(code) && !server.has('cache.fill tags')) return t.skip('this module has no tags')
      writeFileSync(join(PROJECT, name), code)
      const { stdout, stderr } = await run('node', [name], { cwd: PROJECT, env: { ...environment, REDIS_URL: server.url, PORT: String(await freePort()) } })
      assert.deepEqual([stdout, stderr], [printed, ''])
    })
  } else if (language === 'acl') {
    test('the ACL line is the one that the conformance suite tries', () => {
      assert.equal(code.trim(), readFileSync(join(CORRAL, 'clients/conformance/acl.txt'), 'utf8').trim())
    })
  } else {
    test(`block ${at}: ${language} is output, and stands after its program`, () => {
      assert.equal(language, 'text')
      assert.equal(blocks[at - 1].language, 'js')
    })
  }
}
