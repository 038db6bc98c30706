/** An image program on a machine without sharp. Runs in tests. */
process.on('disconnect', () => process.exit());
process.send?.({ type: 'ready', why: "Cannot find package 'sharp'" });
