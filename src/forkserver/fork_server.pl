# fork_server: a perl that has compiled a script and waits for requests.
#
#     perl [SWITCHES] '-M5;BEGIN{require q{.../fork_server.pl}}' SCRIPT [ARG...]
#
# The launcher starts it, with a library that takes the place of fork()
# (preload.c).  What it says to the launcher is in launcher/fork_protocol.h.
#
# perl runs this before it compiles the script, and the INIT block between that
# and running it, before INIT blocks of the script.  There it calls fork(), which
# returns in workers only.  A worker finds the variables of its request in memory;
# when the block ends, perl runs the script.
#
# The script finds what `perl SCRIPT` would give it; scgid-start(7) names what
# differs.  So this loads no module, not even strict, and defines no name.
# Whatever the script has changed by then must not matter to it: $/, $\, $",
# the layers of handles, what handles signals and warnings.
#
# What keeps it from serving is told on stderr, with a status that is not 0.

delete $main::{'q::'};    # perl took the q of our command for a package
my ($number) = delete($ENV{SCGID_FORK_SERVER}) =~ /^(\d+)$/;

# Each worker begins here, and follows the script if it went elsewhere.
my $find_place = sub { readlink('/proc/self/cwd') =~ /(.*)/s ? $1 : '' };
my $place = $find_place->();

# How a worker starts anew, if it has to.  The script may set $0.
my @command = do {
	local $!;
	open my $self, '<:raw', '/proc/self/cmdline' or die "cmdline: $!\n";
	my $text = '';
	1 while sysread $self, $text, 65536, length $text;
	my @words = split /\0/, $text, -1;
	pop @words;
	grep { !/^-M5;BEGIN/ } @words;
};

# What the script makes of the variables while it is compiled it makes of each
# request's, unless that has another: "||=" is more common than "=" for those.
my %before = %ENV;
my $changed = sub { ($_[0]{$_} // '') ne ($before{$_} // '') };

# What perl says of the script while it compiles it is said of each request.
my $warnings = '';
my $on_warning = sub { $warnings .= $_[0]; print STDERR $_[0] };
$SIG{__WARN__} = $on_warning;

# The files that this perl is made of, besides its program and the script.  One
# that was found in "." is in one of the places where that was.
my $files = sub {
	my %places = map { ($_ => 1) } @_;
	my $libraries = $DynaLoader::{dl_shared_objects};
	my @names = grep { defined && !ref } values %INC;
	push @names, @$libraries if $libraries;
	map {
		my $name = $_;
		utf8::encode($name) if utf8::is_utf8($name);
		m{^/} ? $name : map { "$_/$name" } keys %places;
	} @names;
};

# At its end perl takes the syntax tree of the script apart, piece by piece, of
# which each worker would have to copy all.  It does not while somebody else
# holds it.  Where the holders are counted B tells, in a process of its own, as
# it is not to be loaded here.  '' if that is not certain.
my $find_holders = sub {
	local ($@, $!, $?, $SIG{CHLD});
	my $size = length pack 'P', '';
	pipe my $answer, my $teller or return '';
	defined(my $pid = fork) or return '';
	if ($pid == 0) {
		local @INC = grep { !ref } @INC;
		local @SIG{qw(__DIE__ __WARN__)};
		my $at = eval {
			require B;
			my $root = B::main_root();
			my @words = unpack 'L!4', unpack 'P' . 4 * $size,
			    pack 'L!', $$root;
			$$root + 3 * $size
			    if $root->name eq 'leave'
			    && $words[0] == ${$root->next}
			    && $words[3] == 1
			    && $root->targ == 1;
		};
		syswrite $teller, sprintf '%x', $at if $at;
		kill 'KILL', $$;    # nothing of the script is to end here
	}
	close $teller;
	sysread $answer, my $at, 100;
	waitpid $pid, 0;
	$at ? " $at" : '';
};

INIT {
	# perl would free this block in each worker, piece by piece.
	my $kept;
	$kept = [ CORE::__SUB__, \$kept ];
	local ($@, $!);
	$^C = 1;                # no END block is to run, if this ends here
	my $alarm = alarm 0;    # it would end the fork server
	delete $INC{(__FILE__)};
	delete $main::{'_<' . __FILE__};
	delete $SIG{__WARN__}
	    if $SIG{__WARN__} && $SIG{__WARN__} == $on_warning;
	die "fork_server: the script ties %ENV\n" if tied %ENV;
	my $now = $find_place->();
	open my $launcher, '>&', $number or die "descriptor $number: $!\n";
	my @files = map { "$_\0" } $files->($place, $now);
	while (my @some = splice @files, 0, 100) {    # a message has its limits
		syswrite $launcher, join '', 'F', @some;
	}
	close $launcher;
	my %after = %ENV;
	my @changes = grep { $changed->(\%after) } keys %{{%before, %after}};
	my $block = pack 'L!', 0;    # its address will be here
	my $size = length $block;
	my $address = sprintf '%x', unpack 'L!', pack 'P', $block;
	my $state = "ready, fills $address" . $find_holders->();
	%ENV = (SCGID_FORK_SERVER => $state);
	defined(my $pid = fork) or die "fork: $!\n";
	if (!unpack 'L!', $block) {
		# So fork() did not see the variable, and made another of us.
		kill 'KILL', $$ if $pid == 0;
		waitpid $pid, 0;
		die "fork_server: the script has put another %ENV in place\n";
	}
	delete $ENV{SCGID_FORK_SERVER};
	$^C = 0;

	my $length = $size + unpack 'L!', unpack "P$size", $block;
	my $read = unpack "P$length", $block;
	substr $read, 0, $size, '';
	$read .= substr $^X, 0, 0;    # tainted, if anything is
	my ($first, @variables) = split /\0/, $read, -1;
	my ($option, $seed) = $first =~ /(.)(.*)/;
	pop @variables;    # behind the last NUL
	if ($option eq 'r') {
		# With taint: nothing of it is for us to judge.
		%ENV = map { /(.*)/s } @variables;
		my ($perl, @words) = map { /(.*)/s } $^X, @command;
		exec { $perl } @words;
	}
	chdir $now if $now ne $place;
	# One by one, so that the taint of one is not that of all.
	while (my ($name, $value) = splice @variables, 0, 2) {
		$ENV{$name} = $value;
	}
	for (grep { !$changed->(\%ENV) } @changes) {
		if (exists $after{$_}) { $ENV{$_} = $after{$_} }
		else                   { delete $ENV{$_} }
	}
	$^T = time;
	srand hex $seed;
	alarm $alarm if $alarm;
	if (length $warnings) {
		local ($,, $\);
		print STDERR $warnings;
	}
}

1;
