import { Worker } from './worker.js'

/** A stack, and the load that it is to bear: paths below `stacks/` and `loads/`, and their options. */
export interface Side {
  readonly stack: string
  readonly options?: object
  readonly load: string
  readonly loadOptions?: object
}

/** Runs a server and its load for as long as `work` takes. */
export async function withLoad<T>(
  { stack, options, load, loadOptions }: Side,
  work: (server: Worker, load: Worker) => Promise<T>,
): Promise<T> {
  const server = await Worker.start(`stacks/${stack}`, options)
  try {
    const loading = await Worker.start(`loads/${load}`, { port: await server.call('port'), ...loadOptions })
    try {
      return await work(server, loading)
    } finally {
      await loading.stop()
    }
  } finally {
    await server.stop()
  }
}
