/** Runes everywhere; warnings of the compiler are errors of the build. */
export default {
  compilerOptions: { runes: true },
};
