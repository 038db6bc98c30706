/** An image program that takes each request and never answers. Runs in tests. */
process.on('disconnect', () => process.exit());
process.on('message', () => undefined);
process.send?.({ type: 'ready' });
