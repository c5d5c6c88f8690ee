/** Names made up for containers that were given none, in Docker's form: `adjective_surname`. */
import { randomInt } from 'node:crypto';

/** A free `adjective_surname`, with a number where a few tries are all taken. */
export function generateContainerName(
  isTaken: (name: string) => boolean,
  random: (below: number) => number = randomInt,
): string {
  for (let attempt = 0; ; attempt++) {
    const adjective = ADJECTIVES[random(ADJECTIVES.length)];
    const surname = SURNAMES[random(SURNAMES.length)];
    const name = `${adjective}_${surname}${attempt < 6 ? '' : random(10 ** Math.min(attempt, 9))}`;
    if (!isTaken(name)) return name;
  }
}

const ADJECTIVES = (
  'able agile amused ancient apt arctic artful attentive autumn awake balanced beaming blissful bold brave breezy bright ' +
  'brisk calm candid careful charming cheerful clever coastal composed confident cosmic cozy crisp curious dapper daring ' +
  'dazzling deft devoted eager earnest easygoing ecstatic elated elegant eloquent epic exact fair faithful fearless festive ' +
  'focused fond frank friendly frosty funny gallant generous gentle gifted glad gleaming golden graceful gracious grand ' +
  'happy hardy harmonic hearty helpful honest hopeful humble idle inspired intent jolly jovial joyful keen kind lively ' +
  'loving loyal lucid lucky magical mellow merry modest musing mystic neat nimble noble nostalgic optimistic patient ' +
  'peaceful pensive placid playful pleasant polite practical proud quick quiet quirky radiant ready relaxed reverent ' +
  'roaming romantic rustic serene sharp silent silver sincere sleepy smart snug sober solid spirited steady stoic sturdy ' +
  'subtle sunny sure sweet swift tender thirsty tidy tranquil trusting upbeat useful valiant vibrant vigilant vigorous ' +
  'vivid warm watchful wise witty wonderful youthful zealous zen'
).split(' ');

const SURNAMES = (
  'agnesi albattani allen almeida archimedes aryabhata babbage banach bardeen bartik bassi bell bhabha bhaskara blackwell ' +
  'bohr booth borg bose boyd brahmagupta brattain brown buck burnell cannon carson cartwright cerf chandrasekhar chaum ' +
  'chebyshev clarke codd colden cori cray curie curran darwin davinci dewdney dhawan diffie dijkstra dirac driscoll ' +
  'easley edison einstein elion engelbart euclid euler faraday feistel fermat fermi feynman franklin gagarin galileo ' +
  'galois ganguly gates gauss germain goldberg goldstine goldwasser golick goodall gould greider grothendieck haibt ' +
  'hamilton haslett hawking heisenberg hellman hermann herschel hertz hodgkin hofstadter hoover hopper hugle hypatia ' +
  'ishizaka jackson jang jemison jennings jepsen johnson joliot jones kalam kapitsa kare keldysh keller kepler khayyam ' +
  'khorana kilby kirch knuth kowalevski lalande lamarr lamport leakey leavitt lederberg lehmann lewin lichterman liskov ' +
  'lovelace lumiere mahavira margulis matsumoto maxwell mayer mccarthy mcclintock mclaren mclean mcnulty meitner mendel ' +
  'mendeleev meninsky merkle mestorf mirzakhani montalcini moore morse moser murdock napier nash neumann newton ' +
  'nightingale nobel noether northcutt noyce panini pare pascal pasteur payne perlman pike poincare poitras proskuriakova ' +
  'ptolemy raman ramanujan rhodes ride ritchie robinson roentgen rosalind rubin saha sammet sanderson satoshi shamir ' +
  'shannon shaw shirley shockley shtern sinoussi snyder solomon spence stonebraker sutherland swanson swartz swirles ' +
  'taussig tesla tharp thompson torvalds tu turing varahamihira vaughan villani visvesvaraya volhard wescoff wilbur ' +
  'wiles williams williamson wilson wing wozniak wright wu yalow yonath zhukovsky'
).split(' ');
