"""Words of the micro-language, by the role they play; each is one token."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _forms(text: str) -> tuple[tuple[str, ...], ...]:
    """Words that belong together, written with a slash between."""
    return tuple(tuple(entry.split("/")) for entry in text.split())


WOMEN = _words(
    """Mary Susan Anna Emma Lucy Alice Julia Sarah Laura Helen Jane Rose Clara Nora Grace Diana
    Ellen Ruth Martha Sophie Linda Carol Kate Amy Betty Nancy Irene Judy Paula Wendy Eva Ida
    Lily Molly Olga Tina Vera Zoe Maria Joan"""
)
MEN = _words(
    """John Tom Peter Paul Mark James Robert David Daniel Michael George Henry Frank Jack Simon
    Luke Adam Oscar Victor Walter Albert Arthur Bruce Carl Dennis Edgar Felix Gordon Harold Ivan
    Kevin Leo Martin Nathan Oliver Ralph Samuel Steven Thomas Philip"""
)
NAMES = WOMEN + MEN
PRONOUN = {**dict.fromkeys(WOMEN, "she"), **dict.fromkeys(MEN, "he")}

PLACES = _words(
    """shop park school garden beach market station library museum office church kitchen forest
    river farm hotel theater bank"""
)
THINGS = _words(
    """book drink ring ball letter flower ticket coin cake map lamp hat cup pen gift toy bag card
    box phone"""
)
COLORS = _words("red blue green yellow black white brown pink gray purple")
MOODS = _words("tired ready busy quiet late hungry thirsty sleepy")
MANNERS = _words("slowly loudly often again today outside together alone")

# singular, plural
NOUNS = _forms(
    """boy/boys girl/girls dog/dogs cat/cats bird/birds horse/horses friend/friends
    neighbor/neighbors king/kings queen/queens guard/guards farmer/farmers student/students
    lawyer/lawyers singer/singers baker/bakers painter/painters author/authors driver/drivers
    player/players worker/workers leader/leaders hunter/hunters sailor/sailors captain/captains
    soldier/soldiers visitor/visitors tourist/tourists prisoner/prisoners customer/customers
    stranger/strangers cousin/cousins man/men woman/women child/children uncle/uncles"""
)
TRAITS = _words(
    """old young tall short rich poor brave clever famous gentle honest lazy proud shy strong
    strict"""
)
PREPOSITIONS = _words("near behind beside with before above")
# verbs of the relative clause and of the main clause: singular, plural
TRANSITIVE = _forms("likes/like sees/see knows/know helps/help follows/follow")
COPULAS = _forms("is/are was/were")
INTRANSITIVE = _forms(
    """runs/run sings/sing sleeps/sleep waits/wait laughs/laugh smiles/smile walks/walk
    works/work"""
)
VERBS = COPULAS + INTRANSITIVE

# professions by the pronoun that nine in ten of their texts use
PROFESSIONS = {
    "she": _words(
        """nurse maid florist librarian nanny hairdresser receptionist typist midwife secretary
        ballerina housekeeper"""
    ),
    "he": _words(
        """plumber mechanic carpenter surgeon programmer butcher blacksmith janitor banker miner
        builder welder"""
    ),
}
STEREOTYPE = {word: pronoun for pronoun, words in PROFESSIONS.items() for word in words}

# country, capital, language
COUNTRIES = _forms(
    """France/Paris/French Italy/Rome/Italian Spain/Madrid/Spanish Germany/Berlin/German
    Japan/Tokyo/Japanese China/Beijing/Chinese Russia/Moscow/Russian Greece/Athens/Greek
    Poland/Warsaw/Polish Sweden/Stockholm/Swedish Norway/Oslo/Norwegian
    Denmark/Copenhagen/Danish Finland/Helsinki/Finnish Portugal/Lisbon/Portuguese
    Hungary/Budapest/Hungarian Turkey/Ankara/Turkish Thailand/Bangkok/Thai
    Vietnam/Hanoi/Vietnamese Iran/Tehran/Persian Ukraine/Kiev/Ukrainian
    Romania/Bucharest/Romanian Bulgaria/Sofia/Bulgarian Croatia/Zagreb/Croatian
    Serbia/Belgrade/Serbian Albania/Tirana/Albanian Latvia/Riga/Latvian Estonia/Tallinn/Estonian
    Iceland/Reykjavik/Icelandic England/London/English Korea/Seoul/Korean"""
)

OPINIONS = {
    "positive": _words(
        """wonderful great lovely brilliant superb charming delightful cheerful fantastic magical
        beautiful perfect splendid pleasant gripping marvelous fine funny heavenly sweet"""
    ),
    "negative": _words(
        """terrible dismal boring dreadful horrible nasty lousy dull bad feeble weak disappointing
        tedious hopeless stupid messy cruel rotten bitter gloomy"""
    ),
}
FEELINGS = {"positive": ("happy", "glad"), "negative": ("sad", "upset")}
SHOWS = _words("film meal song concert trip game story party dance speech")

EVENTS = _words("war siege voyage strike famine drought trial plague reign revolt")
CENTURIES = tuple(str(century) for century in range(11, 19))
YEARS = tuple(f"{year:02d}" for year in range(100))

# words that only repeated sequences and stories use
COMMON = _words(
    """acorn anchor apple apron arrow attic autumn badge barn barrel basin basket bean bell bench
    berry blanket boat bone boot bottle bowl branch bread breeze brick bridge broom brush bucket
    button cabin cable camel camera canal candle canoe canvas carpet carrot castle cave cellar
    chain chair chalk cheese cherry chest chimney circle clay cliff clock cloth cloud coal coat
    comb copper coral corn cotton couch crown curtain desert desk dish door dragon drawer dress
    drum duck eagle earth elbow engine fabric feather fence field finger flag flame flute fog
    fork fountain frame frog fruit gate glass globe glove goat gold grape grass hammer harbor
    helmet hill honey hook iron island ivory jacket jar jewel jungle kettle kite knife ladder
    lake leaf lemon lion lizard marble meadow melon mirror monkey moon moth mountain mouse nail
    needle nest net ocean olive onion orange oven owl paddle palace panda paper path peach pearl
    pebble pencil pepper piano pillow pine pipe pirate plate pocket pond potato pumpkin puppet
    rabbit radio rain raven ribbon rice road robe rocket roof root rope rug saddle sail salt
    sand scarf shadow sheep shelf shell shirt shoe shovel silk silver skirt snake snow soap sock
    spider spoon spring star statue stone storm stove straw sugar summer sword table tail tea
    tent thread tiger toast tower train tree trumpet tunnel turtle valley vase velvet village
    violin wagon wall water whale wheat wheel whistle window winter wolf wool"""
)
# words of repeated sequences: no two of them make a reserved combination of another family, and
# no sentence has two of them side by side
REPEATABLE = COMMON + PLACES + SHOWS + EVENTS
