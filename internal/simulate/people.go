package simulate

// Given names, family names and subject lines from which addresses and headers are put together.
var (
	givenNames  = []string{"anna", "ben", "carla", "david", "elena", "felix", "greta", "hugo", "ines", "jonas", "karin", "leo", "maria", "nils", "olga", "pavel", "quentin", "rosa", "sven", "tara", "umar", "vera", "wim", "xenia", "yara", "zoe", "lucas", "emma", "noah", "mia", "liam", "sofia"}
	familyNames = []string{"albers", "bergman", "costa", "dubois", "eriksen", "fischer", "garcia", "hansen", "ivanov", "jansen", "keller", "lindqvist", "moreau", "novak", "olsen", "pereira", "quinn", "rossi", "schmidt", "tanaka", "ueda", "vargas", "weber", "xu", "young", "zimmer", "meyer", "brown", "silva", "kowalski", "murphy", "larsen"}
)

// sender is a customer of the simulated server.
type senderSpec struct {
	weight   int
	code     string // in job and envelope ids
	domain   string
	name     string // From display name, raw as in the header
	local    string
	verp     int // shape of MAIL FROM
	stream   string
	pool     string
	api      bool
	envID    bool
	jobs     bool
	dsn      bool
	subjects []string // {n} is a number that differs by message, {c} by campaign
	minSize  int64
	maxSize  int64
	expiry   int64 // seconds in the queue before a message is given up
}

var senderSpecs = []senderSpec{
	{26, "bf", "news.brightfern.example", "Brightfern", "hello", 0, "marketing", "mkt-eu", true, true, true, false,
		[]string{"Your spring garden starts here", "{c}% off until Sunday, today only in the shop", "New arrivals: \"Terrace & Balcony\""}, 24_000, 96_000, 8 * 3600},
	{18, "rl", "mail.roadlark.example", "Roadlark Travel", "offers", 1, "marketing", "mkt-us", true, true, true, false,
		[]string{"Weekend getaways from 49 EUR", "=?UTF-8?B?w5xiZXIgZGllIEFscGVuOiA3IFRhZ2U=?=", "Still thinking about Lisbon?"}, 30_000, 120_000, 8 * 3600},
	{16, "td", "letters.thedailyquill.example", "\"The Daily Quill\"", "editor", 0, "newsletter", "news", false, true, true, false,
		[]string{"Morning briefing no. {c}", "The long read, issue {c}", "=?UTF-8?Q?Caf=C3=A9_society=3A_the_weekend_edition?="}, 40_000, 90_000, 12 * 3600},
	{12, "pw", "e.pinewardrobe.example", "Pine Wardrobe", "style", 2, "marketing", "mkt-eu", true, true, true, false,
		[]string{"Back in stock, in your size", "Members only: early access", "Last call, the sale ends tonight"}, 20_000, 80_000, 8 * 3600},
	{12, "ok", "notify.okapibank.example", "Okapi Bank", "no-reply", 1, "transactional", "trx", false, false, false, true,
		[]string{"Your statement is ready", "Payment {n} was received", "Sign-in code {n}"}, 4_000, 18_000, 3600},
	{9, "st", "orders.stackandsons.example", "Stack & Sons", "orders", 2, "transactional", "trx", false, true, true, false,
		[]string{"Order {n} is confirmed", "Order {n} is on its way", "Invoice for order {n}, thank you"}, 9_000, 60_000, 4 * 3600},
	{7, "cw", "mail.civicwatch.example", "CivicWatch", "team", 0, "newsletter", "news", true, true, true, false,
		[]string{"Petition {c}: one more signature", "This week in your town"}, 12_000, 40_000, 12 * 3600},
}

// poolSpec is a vMTA pool. Names and addresses of its members follow from it.
type poolSpec struct {
	name   string
	prefix string // of vMTA names
	host   string // below mailer-north.example
	first  int    // last octet of the first member
	count  int
	v6     int // the first v6 members have an IPv6 address
}

var poolSpecs = []poolSpec{
	{"mkt-eu", "mta-eu", "eu1", 10, 8, 4},
	{"mkt-us", "mta-us", "us1", 30, 6, 2},
	{"news", "mta-nl", "nl1", 50, 4, 4},
	{"trx", "mta-trx", "trx1", 70, 3, 3},
}
